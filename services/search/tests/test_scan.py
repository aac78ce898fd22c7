"""Exact comparison finds what comparing one pair after the other finds, however it is done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek_search.segment import scan
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import NO_ROW
from picoseek_search.segment.metric import Metric

COLUMNS = 256


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.sampled_from([1, 7, 8, 33]),
    rows=st.integers(1, 120),
    share=st.floats(0, 1),
    k=st.integers(1, 130),
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.COSINE, Metric.L2]),
    block=st.sampled_from([7, 8192]),
    least=st.sampled_from([1, scan._LEAST_PRODUCTS]),
)
def test_the_nearest_selected_rows_are_found(
    seed: int, queries: int, rows: int, share: float, k: int, metric: Metric, block: int, least: int
) -> None:
    draw = np.random.default_rng(seed)
    asked, base = (metric.prepare(draw.standard_normal((count, COLUMNS))) for count in (queries, rows))
    mask = draw.random(rows) < share
    with pytest.MonkeyPatch.context() as small:
        small.setattr(scan, "_BLOCK_ROWS", block)
        small.setattr(scan, "_LEAST_PRODUCTS", least)
        found = scan.nearest(asked, base, k, metric, Bitmap.from_mask(mask))
    due = min(k, int(mask.sum()))
    wide, far = asked.astype(np.float64), base[mask].astype(np.float64)
    sign = -1.0 if metric.larger_is_closer else 1.0
    scores = wide @ far.T if metric.larger_is_closer else ((wide[:, None] - far[None]) ** 2).sum(axis=2)
    best = sign * np.sort(sign * scores, axis=1)[:, :due]
    np.testing.assert_allclose(found.scores[:, :due], best, rtol=1e-4, atol=1e-4)
    for row in found.offsets:
        hits = row[row != NO_ROW]
        assert len(hits) == due == len(set(hits.tolist()))
        assert mask[hits].all()


def test_scores_are_the_same_however_many_queries_are_made_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_LEAST_PRODUCTS", 1)
    draw = np.random.default_rng(1)
    asked, base = (Metric.COSINE.prepare(draw.standard_normal((count, COLUMNS))) for count in (16, 3000))
    everything = Bitmap.full(3000)
    together = scan.nearest(asked, base, 10, Metric.COSINE, everything)
    for number in range(16):
        alone = scan.nearest(asked[number : number + 1], base, 10, Metric.COSINE, everything)
        assert together.offsets[number].tolist() == alone.offsets[0].tolist()
        np.testing.assert_array_equal(together.scores[number], alone.scores[0])


def test_products_out_of_range_do_not_hide_what_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_LEAST_PRODUCTS", 1)
    base = np.ones((20, COLUMNS), np.float32)
    base[3] = 3e38 * np.where(np.arange(COLUMNS) % 2, 1, -1)
    base[4] *= 2
    asked = np.full((8, COLUMNS), 3e38, np.float32)
    asked[:7] = 1
    found = scan.nearest(asked, base, 20, Metric.INNER_PRODUCT, Bitmap.full(20))
    assert found.offsets[0, 0] == 4
    assert found.scores[0, 0] == 2 * COLUMNS


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 40),
    rows=st.integers(1, 60),
    copies=st.integers(1, 40),
    share=st.floats(0, 1),
    k=st.integers(1, 70),
    columns=st.sampled_from([4, COLUMNS]),
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.COSINE]),
    block=st.sampled_from([7, 8192]),
    least=st.sampled_from([1, scan._LEAST_PRODUCTS]),
)
def test_equals_come_in_the_order_of_rows_however_many_queries_are_made_together(
    seed: int,
    queries: int,
    rows: int,
    copies: int,
    share: float,
    k: int,
    columns: int,
    metric: Metric,
    block: int,
    least: int,
) -> None:
    draw = np.random.default_rng(seed)
    asked = metric.prepare(draw.standard_normal((queries, columns)))
    base = metric.prepare(draw.standard_normal((rows, columns)))[draw.integers(0, rows, rows * copies)]
    mask = draw.random(len(base)) < share
    selected = Bitmap.from_mask(mask)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(scan, "_BLOCK_ROWS", block)
        small.setattr(scan, "_LEAST_PRODUCTS", least)
        together = scan.nearest(asked, base, k, metric, selected)
    everything = np.flatnonzero(mask)[np.newaxis]
    for number in range(queries):
        one = np.ascontiguousarray(asked[number : number + 1])
        alone = scan.nearest(one, base, k, metric, selected)
        assert together.offsets[number].tolist() == alone.offsets[0].tolist()
        np.testing.assert_array_equal(together.scores[number], alone.scores[0])
        due = scan.nearest_of(one, base, everything, k, metric)
        assert [row for row in alone.offsets[0].tolist() if row != NO_ROW] == due.offsets[0].tolist()
