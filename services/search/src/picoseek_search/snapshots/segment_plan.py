"""Which segments of an earlier snapshot serve a new one, and what has to be cut anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from picoseek_search.snapshots.manifest import RowSegment

SEGMENT_BYTES = 16 << 20
"""Size at which a segment is cut off."""
_MIN_LIVE_SHARE = 0.5

RowsWithin: TypeAlias = Callable[[int, int], int]
"""Returns how many rows there are now of keys from one to another, both included."""


@dataclass(frozen=True)
class SegmentPlan:
    """What a table's segments shall be."""

    kept: tuple[RowSegment, ...]
    """Segments that are there, by ascending keys."""
    gaps: tuple[tuple[int, int], ...]
    """Ranges of keys between, before and behind them that hold rows: first and last key."""


def plan_segments(
    base: Sequence[RowSegment], rows_within: RowsWithin, first: int, last: int, row_bytes: int
) -> SegmentPlan:
    """Return what to keep and what to cut.

    A segment is kept while half of its rows are there. One that is small and smaller than what is cut behind it goes
    into that: so there are about log(rows) small ones, however often snapshots are made, and a row is written log(rows)
    times.

    Args:
        base: segments all of whose keys mean the same rows now, by ascending and disjoint ranges.
        rows_within: the rows of now.
        first: smallest key of now.
        last: largest key of now.
        row_bytes: usual bytes of a row.
    """
    kept: list[RowSegment] = []
    behind = last
    for segment in reversed(base):
        rows = rows_within(segment.first, segment.last)
        following = rows_within(segment.last + 1, behind) * row_bytes
        is_absorbed = segment.blob.size < SEGMENT_BYTES // 2 and 0 < segment.rows * row_bytes <= following
        if rows and rows >= _MIN_LIVE_SHARE * segment.rows and not is_absorbed:
            kept.append(segment)
            behind = segment.first - 1
    kept.reverse()
    starts = [first, *(segment.last + 1 for segment in kept)]
    ends = [*(segment.first - 1 for segment in kept), last]
    gaps = tuple(gap for gap in zip(starts, ends, strict=True) if gap[0] <= gap[1] and rows_within(*gap))
    return SegmentPlan(tuple(kept), gaps)
