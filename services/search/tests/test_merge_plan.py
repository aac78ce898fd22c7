"""Which segments are merged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek_search.collection.merge_plan import (
    MergePlan,
    PartSize,
    Stage,
    plan_consolidation,
    plan_merge,
    plan_settling,
)
from picoseek_search.collection.options import EngineOptions

OPTIONS = EngineOptions(growing_rows=100, merge_factor=4, max_segment_rows=10_000)


def full(*sizes: int) -> list[PartSize]:
    return [PartSize(size, size, Stage.FINAL) for size in sizes]


GROWING = PartSize(50, 50, Stage.GROWING)


@pytest.mark.parametrize(
    ("parts", "plan"),
    [
        ([], None),
        ([GROWING], None),
        (full(100, 100, 100), None),
        ([*full(100, 100, 100), GROWING], None),
        (full(100, 100, 100, 100), MergePlan(0, 4)),
        ([*full(400, 100, 100, 100, 100), GROWING], MergePlan(1, 4)),
        (full(400, 400, 400, 400, 100), MergePlan(0, 4)),
        (full(1600, 400, 400, 400), None),
        (full(400, 90, 400, 400, 400), MergePlan(0, 5)),
        (full(1600, *[100] * 9), MergePlan(1, 9)),
        (full(2500, 2500, 2500, 2500, 2500), MergePlan(1, 4)),
        (full(6400, 6400, 6400, 6400), None),
        ([PartSize(400, 199, Stage.FINAL), *full(100)], MergePlan(0, 1)),
        ([PartSize(400, 0, Stage.FINAL)], MergePlan(0, 1)),
        ([PartSize(50, 10, Stage.GROWING)], None),
        ([*full(400, 100, 100, 100), PartSize(100, 90, Stage.FULL), GROWING], MergePlan(4, 1)),
        ([PartSize(400, 199, Stage.FINAL), PartSize(100, 90, Stage.FULL)], MergePlan(0, 1)),
    ],
)
def test_plan(parts: list[PartSize], plan: MergePlan | None) -> None:
    assert plan_merge(parts, OPTIONS) == plan


@settings(deadline=None)
@given(st.integers(1, 300))
def test_parts_stay_few_and_rebuilds_too(chunks: int) -> None:
    parts: list[PartSize] = []
    built = 0
    for _ in range(chunks):
        parts += full(100)
        while (plan := plan_merge(parts, OPTIONS)) is not None:
            run = parts[plan.first : plan.first + plan.count]
            rows = sum(part.live for part in run)
            built += rows
            parts[plan.first : plan.first + plan.count] = full(rows)
    assert len(parts) <= 3 * 4 + chunks * 100 / OPTIONS.max_segment_rows * 4
    assert built <= chunks * 100 * 5


GROWN = PartSize(100, 100, Stage.GROWING)
GRAPH = PartSize(1600, 1600, Stage.FINAL, is_extensible=True)


@pytest.mark.parametrize(
    ("parts", "plan"),
    [
        ([], None),
        ([GROWING], None),
        (full(100), None),
        ([*full(100), GROWING], MergePlan(0, 2)),
        ([*full(1600, 400), GROWING], MergePlan(0, 3)),
        ([*full(1600), GROWING], None),
        ([*full(1600, 40, 40), PartSize(5, 5, Stage.GROWING)], MergePlan(1, 3)),
        (full(40, 40, 1600), MergePlan(0, 2)),
        (full(6000, 6000, 3000), MergePlan(1, 2)),
        (full(6000, 6000), None),
        (full(20_000, 300, 300), MergePlan(1, 2)),
        ([PartSize(9000, 9000, Stage.GROWING)], MergePlan(0, 1)),
        ([*full(9000), PartSize(9000, 9000, Stage.GROWING)], MergePlan(1, 1)),
        ([PartSize(10, 0, Stage.FINAL), PartSize(10, 0, Stage.GROWING)], MergePlan(0, 2)),
        ([GRAPH, PartSize(30, 30, Stage.GROWING)], MergePlan(0, 2)),
        ([GRAPH, PartSize(20, 20, Stage.GROWING)], None),
        ([PartSize(30, 30, Stage.FINAL), GRAPH, PartSize(30, 30, Stage.GROWING)], None),
        ([PartSize(9000, 9000, Stage.INTERIM), GROWN], MergePlan(0, 1)),
    ],
)
def test_plan_of_an_idle_time(parts: list[PartSize], plan: MergePlan | None) -> None:
    assert plan_consolidation(parts, OPTIONS) == plan


@pytest.mark.parametrize(
    ("parts", "plan"),
    [
        ([*full(100, 100), GROWN], None),
        ([GRAPH, PartSize(400, 400, Stage.INTERIM), GROWN], MergePlan(0, 2)),
        ([GRAPH, PartSize(20, 20, Stage.INTERIM), GROWN], None),
        ([*full(300), PartSize(9900, 9900, Stage.INTERIM), GROWN], MergePlan(1, 1)),
    ],
)
def test_plan_of_what_was_built_in_haste(parts: list[PartSize], plan: MergePlan | None) -> None:
    assert plan_settling(parts, OPTIONS) == plan


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.booleans()), max_size=12), st.booleans())
def test_idle_time_leaves_few_parts_and_comes_to_an_end(sizes: list[tuple[int, bool]], growing: bool) -> None:
    parts = [PartSize(rows, rows if whole else rows // 2 + 1, Stage.FINAL) for rows, whole in sizes]
    parts += [GROWN] if growing else []
    live = sum(part.live for part in parts)
    for _ in range(100):
        plan = plan_consolidation(parts, OPTIONS)
        if plan is None:
            break
        rows = sum(part.live for part in parts[plan.first : plan.first + plan.count])
        assert rows <= OPTIONS.max_segment_rows
        parts[plan.first : plan.first + plan.count] = full(rows)
    else:
        pytest.fail("it goes on for ever")
    assert sum(part.live for part in parts) == live
    assert len(parts) <= 4 * (1 + live // OPTIONS.max_segment_rows) + 2
