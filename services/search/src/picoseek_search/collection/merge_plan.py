"""Which segments are built into one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from picoseek_search.collection.options import EngineOptions


class Stage(Enum):
    """How far a part has come."""

    GROWING = "growing"
    """It still takes rows."""
    FULL = "full"
    """It takes no more rows, and something faster to search can be built of it at once."""
    INTERIM = "interim"
    """It is not what its collection wants, which takes longer to build."""
    FINAL = "final"
    """It is as good as it gets."""


@dataclass(frozen=True)
class PartSize:
    """What a plan must know of a part."""

    rows: int
    """Rows in it."""
    live: int
    """Rows that are live."""
    stage: Stage
    """How far it has come."""
    is_extensible: bool = False
    """Other rows can be added to a copy of it."""

    @property
    def is_growing(self) -> bool:
        """Whether it still takes rows."""
        return self.stage is Stage.GROWING


@dataclass(frozen=True)
class MergePlan:
    """Neighbouring parts to be built into one."""

    first: int
    """Place of the first one."""
    count: int
    """How many; 1: it is rebuilt without its dead rows."""


def plan_merge(parts: Sequence[PartSize], options: EngineOptions) -> MergePlan | None:
    """Return what to build next, or None if the parts are good as they are.

    A part with too many dead rows comes first, then a chunk that has become full. Otherwise the tier of a part is the
    number of times that it was merged, by its size, and a run of at least `merge_factor` neighbours is merged when none
    of them is of a higher tier than the last one: merging small ones into a large one again and again would cost a
    rebuild of the large one each time. The whole run is merged, so that the more work has piled up, the fewer times a
    row is built anew.
    """
    for place, part in enumerate(parts):
        if not part.is_growing and part.live < options.min_live_share * part.rows:
            return MergePlan(place, 1)
    for place, part in enumerate(parts):
        if part.stage is Stage.FULL:
            return MergePlan(place, 1)
    settled = len(parts) - (1 if parts and parts[-1].is_growing else 0)
    tiers = [_tier(part.live, options) for part in parts[:settled]]
    for last in range(settled - 1, options.merge_factor - 2, -1):
        first, rows = last, parts[last].live
        while (
            first > 0 and tiers[first - 1] <= tiers[last] and rows + parts[first - 1].live <= options.max_segment_rows
        ):
            first -= 1
            rows += parts[first].live
        if last - first + 1 >= options.merge_factor:
            return MergePlan(first, last - first + 1)
    return None


def plan_settling(parts: Sequence[PartSize], options: EngineOptions) -> MergePlan | None:
    """Return what to build once there is time, of parts that are not final and take no rows; None: there are none.

    It is part of plan_consolidation(), but goes on when rows are written meanwhile.
    """
    settled = [part for part in parts if not part.is_growing]
    plan = plan_consolidation(settled, options)
    if plan is None or all(part.stage is Stage.FINAL for part in settled[plan.first : plan.first + plan.count]):
        return None
    return plan


def plan_consolidation(parts: Sequence[PartSize], options: EngineOptions) -> MergePlan | None:
    """Return what to build when nothing else is to be done, or None if searches would gain too little by it.

    A search looks into every part, so neighbours become one, the growing part included, up to `max_segment_rows`. Where
    one of them is so large that building its rows anew, or copying them, is not worth the others'
    (`consolidation_share`, `extension_share`), it stays.
    """
    end = len(parts)
    while end > 0:
        first, rows = end - 1, parts[end - 1].live
        while first > 0 and rows + parts[first - 1].live <= options.max_segment_rows:
            first -= 1
            rows += parts[first].live
        plan = _worthwhile(parts, first, end, options)
        if plan is not None:
            return plan
        end = first
    return None


def _worthwhile(parts: Sequence[PartSize], first: int, end: int, options: EngineOptions) -> MergePlan | None:
    if end - first < 2:
        alone = parts[first:end]
        pays = bool(alone) and alone[0].stage is not Stage.FINAL and alone[0].live >= options.graph_rows
        return MergePlan(first, 1) if pays else None
    largest = max(range(first, end), key=lambda place: parts[place].live)
    others = sum(part.live for part in parts[first:end]) - parts[largest].live
    extends = largest == first and parts[first].is_extensible
    share = options.extension_share if extends else options.consolidation_share
    if others >= share * parts[largest].live:
        return MergePlan(first, end - first)
    for some in ((largest + 1, end), (largest, largest + 1), (first, largest)):
        plan = _worthwhile(parts, *some, options)
        if plan is not None:
            return plan
    return None


def _tier(live: int, options: EngineOptions) -> int:
    return max(0, math.floor(math.log(max(live, 1) / options.growing_rows, options.merge_factor) + 0.5))
