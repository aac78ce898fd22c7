"""Searches for a gallery's own references, each left out of the gallery."""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from picoseek_search.calibration.references import OwnItem, References
from picoseek_search.collection.search import Query, Target, search
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.specification import Specification
from picoseek_search.segment.arrays import Offsets
from picoseek_search.segment.metric import Metric

MOST_REFERENCES = 4096
"""References that are searched for."""
_MOST_COMPARISONS = 400_000_000
"""Of a gallery in which that would be more vectors to compare than these, fewer references are searched for."""
_LEAST_REFERENCES = 1000
_MOST_TIMES_MEDIAN = 4
"""References of one item at most, as a multiple of the median: one item must not be the measure of all."""
_UNIT_LENGTH_WITHIN = 1e-3
_BLOCK = 4096


@dataclass(frozen=True)
class _Place:
    view: int
    row: int


@dataclass(frozen=True)
class _Sampled:
    item: str
    references: int
    places: list[_Place]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What was measured on a snapshot."""

    references: References
    """One row a reference."""
    unit_length: bool
    """All of them have length 1."""


def measure(snapshot: Snapshot, specification: Specification, check: Callable[[], None]) -> LeftOut:
    """Search for references as live queries are searched for, in the gallery without them.

    The same documents give the same references, whatever parts they lie in: those with the smallest checksums of item
    and id.

    Args:
        snapshot: the gallery.
        specification: how it is searched.
        check: called now and then; an exception that it raises ends the work.
    """
    metric = specification.metric
    targets = [Target(view.part, view.live) for view in snapshot.views]
    rows: list[tuple[int, float, float, float, int]] = []
    lengths_are_one = True
    for number, sampled in enumerate(_sample(snapshot, specification, check)):
        for place in sampled.places:
            check()
            view = snapshot.views[place.view]
            here = np.array([place.row])
            vector = view.part.segment.vectors(here)
            if metric is Metric.INNER_PRODUCT:
                lengths_are_one &= abs(float(np.linalg.norm(vector)) - 1) < _UNIT_LENGTH_WITHIN
            without = [
                Target(target.part, target.selected.without(here)) if index == place.view else target
                for index, target in enumerate(targets)
            ]
            query = Query(
                vectors=np.ascontiguousarray(vector),
                k=2,
                exact=specification.exact,
                ef=specification.ef,
                max_per_item=1,
                nprobe=specification.nprobe,
                rerank=specification.rerank,
            )
            found = search([target for target in without if target.selected.count], query, metric)
            if len(found.ids) == 2:
                rows.append((number, *_scores(found.items, found.scores.tolist(), sampled)))
    return LeftOut(_columns(rows), lengths_are_one)


def _scores(items: list[str], scores: list[float], sampled: _Sampled) -> tuple[float, float, float, int]:
    """Return the columns of References but the item."""
    is_own = [item == sampled.item for item in items]
    if sampled.references == 1:
        own = OwnItem.GONE
    elif is_own[0]:
        own = OwnItem.BEST
    else:
        own = OwnItem.SECOND if is_own[1] else OwnItem.BEHIND
    return scores[1] if is_own[0] else scores[0], scores[0], scores[1], int(own)


def _columns(rows: list[tuple[int, float, float, float, int]]) -> References:
    table = np.array(rows, np.float64).reshape(-1, 5)
    return References(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.float32),
        table[:, 2].astype(np.float32),
        table[:, 3].astype(np.float32),
        table[:, 4].astype(np.int8),
    )


def _sample(snapshot: Snapshot, specification: Specification, check: Callable[[], None]) -> list[_Sampled]:
    counts: Counter[str] = Counter()
    for _, _, items in _live_blocks(snapshot):
        counts.update(items)
        check()
    most = MOST_REFERENCES
    if specification.exact or specification.kind.is_exact:
        affordable = _MOST_COMPARISONS // max(1, snapshot.live_rows)
        most = min(most, max(_LEAST_REFERENCES, affordable))
    chosen = heapq.nsmallest(most, counts, key=_rank)
    median = sorted(counts.values())[len(counts) // 2] if counts else 1
    each = max(1, min(most // max(1, len(chosen)), _MOST_TIMES_MEDIAN * median))
    wanted: dict[str, list[tuple[tuple[int, str], _Place]]] = {item: [] for item in chosen}
    for view, rows, items in _live_blocks(snapshot):
        check()
        ids = snapshot.views[view].part.ids.take(rows)
        for row, id_, item in zip(rows.tolist(), ids, items, strict=True):
            places = wanted.get(item)
            if places is not None:
                places.append((_rank(id_), _Place(view, row)))
                if len(places) > 2 * each:
                    places[:] = heapq.nsmallest(each, places, key=_first)
    return [
        _Sampled(item, counts[item], [place for _, place in heapq.nsmallest(each, wanted[item], key=_first)])
        for item in chosen
    ]


def _live_blocks(snapshot: Snapshot) -> Iterator[tuple[int, Offsets, list[str]]]:
    # In blocks, since a loop over a million names must leave the interpreter to searches now and then.
    for index, view in enumerate(snapshot.views):
        live = view.live.offsets()
        for start in range(0, len(live), _BLOCK):
            rows = live[start : start + _BLOCK]
            yield index, rows, view.part.items.take(rows)


def _rank(name: str) -> tuple[int, str]:
    return zlib.crc32(name.encode()), name


def _first(entry: tuple[tuple[int, str], _Place]) -> tuple[int, str]:
    return entry[0]
