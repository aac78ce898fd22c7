"""Searching a snapshot of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from picoseek_search.collection.names import Names
from picoseek_search.collection.part import Part
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.segment.arrays import Offsets, Scores, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import NO_ROW, MergedHits, merge
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.segment import Reach, SearchOptions

_FIRST_LOOK = 4
"""With a limit an item, so many times more rows are fetched than hits are asked for."""
_WIDER_LOOK = 8
"""Where that is too few, so many times more at a time, until there are enough or all rows were seen."""
_NO_SCORES: Scores = np.zeros(0, np.float32)
_NO_SOURCES: Offsets = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Query:
    """One or more searches with the same settings."""

    vectors: Vectors
    """Prepared, shape (queries, dimension)."""
    k: int
    """Hits a query."""
    exact: bool
    """Compare with every row."""
    ef: int
    """HNSW: length of the candidate list."""
    score_threshold: float | None = None
    """Only hits at least as close."""
    max_per_item: int = 0
    """Hits of one item at most; 0: no limit."""
    nprobe: int = 0
    """IVF: cells that are visited; 0: chosen by the number of cells."""
    rerank: int = 0
    """SQ8 and PQ: candidates a hit that are compared in full; 0: chosen by the kind of code."""


@dataclass(frozen=True, eq=False)
class Found:
    """Hits by columns, those of one query after those of another."""

    ids: list[str]
    """Document ids, nearest first."""
    items: list[str]
    """Items."""
    scores: Scores
    """Shape (hits,)."""
    offsets: list[int]
    """queries + 1 places: where each query's hits begin, and the total."""
    sources: Offsets
    """Shape (hits,): places of their parts among what was searched."""


@dataclass(frozen=True)
class RunnerUp:
    """The nearest document of the second item."""

    id: str
    """Document id."""
    item: str
    """Its item."""
    score: float
    """Its score."""


@dataclass(frozen=True, eq=False)
class Target:
    """A part, and which of its rows may be hits."""

    part: Part
    """The part."""
    selected: Bitmap
    """At least one row."""


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows that were found, those of one query after those of another."""

    parts: Sequence[Part]
    sources: Offsets
    """Shape (hits,): place in `parts`."""
    rows: Offsets
    """Shape (hits,): row in that part."""
    scores: Scores
    offsets: list[int]
    """queries + 1 places: where each query's hits begin, and the total."""

    def names(self) -> tuple[list[str], list[str]]:
        """Return ids and items."""
        ids = self._column([part.ids for part in self.parts])
        if all(part.items is part.ids for part in self.parts):
            return ids, ids
        return ids, self._column([part.items for part in self.parts])

    def _column(self, columns: Sequence[Names]) -> list[str]:
        if len(columns) == 1:
            return columns[0].take(self.rows)
        names = np.empty(len(self.rows), np.object_)
        for source, column in enumerate(columns):
            here = self.sources == source
            names[here] = column.take(self.rows[here])
        several: list[str] = names.tolist()
        return several


def targets_of(snapshot: Snapshot, selected: Sequence[Bitmap] | None) -> list[Target]:
    """Return where to search.

    Args:
        snapshot: what to search.
        selected: live rows of each view that may be hits; None: all.
    """
    rows = [view.live for view in snapshot.views] if selected is None else selected
    return [Target(view.part, some) for view, some in zip(snapshot.views, rows, strict=True) if some.count]


def search(targets: Sequence[Target], query: Query, metric: Metric) -> Found:
    """Find the nearest documents: exactly min(k, documents that qualify) a query.

    Args:
        targets: where to search.
        query: what to look for.
        metric: how to compare.
    """
    if query.max_per_item:
        return _grouped(targets, query, metric)
    ranked = _ranked(targets, query.vectors, query, query.k, metric, exact=query.exact)
    return Found(*ranked.names(), ranked.scores, ranked.offsets, ranked.sources)


def reach_of(targets: Sequence[Target], query: Query) -> list[Reach]:
    """Return how far the first look of a search goes in each target."""
    k = query.k * (_FIRST_LOOK if query.max_per_item else 1)
    options = _options(query, k, exact=query.exact)
    return [target.part.segment.reach(options, target.selected) for target in targets]


def runners_up(targets: Sequence[Target], query: Query, metric: Metric, found: Found) -> list[RunnerUp | None]:
    """Return for each query the nearest document of another item than its first hit's; None: there is none.

    Where the hits do not show it, because they are few, of one item, or beyond the query's score threshold, it is
    searched for, with the query's other settings.

    Args:
        targets: where `found` was searched.
        query: what was looked for.
        metric: how to compare.
        found: what was found.
    """
    seconds: list[RunnerUp | None] = []
    hidden: list[int] = []
    for place, (start, end) in enumerate(pairwise(found.offsets)):
        second = _runner_up(found, range(start, end), found.items[start]) if start < end else None
        seconds.append(second)
        if second is None and start < end:
            hidden.append(place)
    if hidden:
        vectors = np.ascontiguousarray(query.vectors[hidden])
        again = search(targets, replace(query, vectors=vectors, k=2, max_per_item=1, score_threshold=None), metric)
        for place, (start, end) in zip(hidden, pairwise(again.offsets), strict=True):
            seconds[place] = _runner_up(again, range(start, end), found.items[found.offsets[place]])
    return seconds


def _runner_up(found: Found, hits: range, item: str) -> RunnerUp | None:
    for hit in hits:
        if found.items[hit] != item:
            return RunnerUp(found.ids[hit], found.items[hit], float(found.scores[hit]))
    return None


def _grouped(targets: Sequence[Target], query: Query, metric: Metric) -> Found:
    total = sum(target.selected.count for target in targets)
    fetch = min(total, _FIRST_LOOK * query.k)
    hits: list[tuple[list[str], list[str], Scores, Offsets]] = [([], [], _NO_SCORES, _NO_SOURCES)] * len(query.vectors)
    waiting = list(range(len(query.vectors)))
    while waiting:
        vectors = np.ascontiguousarray(query.vectors[waiting])
        ranked = _ranked(targets, vectors, query, fetch, metric, exact=query.exact or fetch == total)
        ids, items = ranked.names()
        unfinished: list[int] = []
        for place, (start, end) in zip(waiting, pairwise(ranked.offsets), strict=True):
            kept = _limit_per_item(items, range(start, end), query)
            # A look that ended at the threshold has seen everything that qualifies.
            if len(kept) < query.k and end - start == fetch < total:
                unfinished.append(place)
            else:
                hits[place] = (
                    [ids[row] for row in kept],
                    [items[row] for row in kept],
                    ranked.scores[kept],
                    ranked.sources[kept],
                )
        waiting = unfinished
        fetch = min(total, fetch * _WIDER_LOOK)
    return Found(
        [id_ for ids, _, _, _ in hits for id_ in ids],
        [item for _, items, _, _ in hits for item in items],
        np.concatenate([_NO_SCORES, *(scores for _, _, scores, _ in hits)]),
        [0, *accumulate(len(ids) for ids, _, _, _ in hits)],
        np.concatenate([_NO_SOURCES, *(sources for _, _, _, sources in hits)]),
    )


def _limit_per_item(items: Sequence[str], positions: range, query: Query) -> list[int]:
    taken: dict[str, int] = {}
    kept: list[int] = []
    for position in positions:
        count = taken.get(items[position], 0)
        if count < query.max_per_item:
            taken[items[position]] = count + 1
            kept.append(position)
            if len(kept) == query.k:
                break
    return kept


def _ranked(
    targets: Sequence[Target], vectors: Vectors, query: Query, k: int, metric: Metric, *, exact: bool
) -> _Ranked:
    options = _options(query, k, exact=exact)
    found = [target.part.segment.search(vectors, options, target.selected) for target in targets]
    if len(found) == 1:
        # Nothing to merge, and most searches are of this kind.
        alone = found[0]
        merged = MergedHits(alone.scores, np.zeros_like(alone.offsets), alone.offsets)
    else:
        merged = merge(found, k, queries=len(vectors), larger_is_closer=metric.larger_is_closer)
    valid = merged.offsets != NO_ROW
    if query.score_threshold is not None:
        threshold = np.float32(query.score_threshold)
        valid &= merged.scores >= threshold if metric.larger_is_closer else merged.scores <= threshold
    return _Ranked(
        [target.part for target in targets],
        merged.sources[valid],
        merged.offsets[valid],
        merged.scores[valid],
        [0, *np.cumsum(valid.sum(axis=1)).tolist()],
    )


def _options(query: Query, k: int, *, exact: bool) -> SearchOptions:
    return SearchOptions(k=k, exact=exact, ef=query.ef, nprobe=query.nprobe, rerank=query.rerank)
