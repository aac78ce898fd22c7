"""Searching a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from picoseek_search.collection.part import Part
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.segment.arrays import Offsets, Scores, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import NO_ROW, MergedHits, merge
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.segment import SearchOptions
from picoseek_search.storage.documents import Names, RowNumbers

_FIRST_LOOK = 4
"""With a limit a item, so many times more rows are fetched than hits are asked for."""


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


@dataclass(frozen=True, eq=False)
class _Target:
    part: Part
    selected: Bitmap


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

    def ids(self) -> list[str]:
        return self._column([part.ids for part in self.parts])

    def items(self) -> list[str]:
        return self._column([part.items for part in self.parts])

    def _column(self, columns: Sequence[Names]) -> list[str]:
        if len(columns) == 1:
            alone: list[str] = columns[0].take(self.rows).tolist()
            return alone
        names = np.empty(len(self.rows), np.object_)
        for source, column in enumerate(columns):
            here = self.sources == source
            names[here] = column.take(self.rows[here])
        several: list[str] = names.tolist()
        return several


def search(snapshot: Snapshot, query: Query, metric: Metric, allowed: RowNumbers | None) -> Found:
    """Find the nearest live documents: exactly min(k, documents that qualify) a query.

    Args:
        snapshot: what to search.
        query: what to look for.
        metric: how to compare.
        allowed: ascending numbers of the documents that may be hits; None: all.
    """
    targets = [
        target
        for view in snapshot.views
        if (target := _Target(view.part, view.live if allowed is None else view.selected(allowed))).selected.count
    ]
    if query.max_per_item:
        return _grouped(targets, query, metric)
    ranked = _ranked(targets, query.vectors, query, query.k, metric, exact=query.exact)
    return Found(ranked.ids(), ranked.items(), ranked.scores, ranked.offsets)


def _grouped(targets: Sequence[_Target], query: Query, metric: Metric) -> Found:
    total = sum(target.selected.count for target in targets)
    fetch = min(total, _FIRST_LOOK * query.k)
    ranked = _ranked(targets, query.vectors, query, fetch, metric, exact=query.exact)
    ids, items = ranked.ids(), ranked.items()
    found = Found([], [], ranked.scores, [0])
    scores = [ranked.scores[:0]]
    for place, (start, end) in enumerate(pairwise(ranked.offsets)):
        kept = _limit_per_item(items, range(start, end), query)
        # A look that ended at the threshold has seen everything that qualifies.
        if len(kept) < query.k and end - start == fetch < total:
            vector = np.ascontiguousarray(query.vectors[place : place + 1])
            everything = _ranked(targets, vector, query, total, metric, exact=True)
            all_ids, all_items = everything.ids(), everything.items()
            kept = _limit_per_item(all_items, range(len(all_items)), query)
            _take(found, all_ids, all_items, kept)
            scores.append(everything.scores[kept])
        else:
            _take(found, ids, items, kept)
            scores.append(ranked.scores[kept])
    return replace(found, scores=np.concatenate(scores))


def _take(found: Found, ids: Sequence[str], items: Sequence[str], kept: Sequence[int]) -> None:
    found.ids.extend([ids[position] for position in kept])
    found.items.extend([items[position] for position in kept])
    found.offsets.append(len(found.ids))


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
    targets: Sequence[_Target], vectors: Vectors, query: Query, k: int, metric: Metric, *, exact: bool
) -> _Ranked:
    options = SearchOptions(k=k, exact=exact, ef=query.ef, nprobe=query.nprobe, rerank=query.rerank)
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
