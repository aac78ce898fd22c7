"""Searching a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from picoseek_search.collection.part import Part
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.segment.arrays import Scores, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import NO_ROW, merge
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.segment import SearchOptions
from picoseek_search.storage.documents import RowNumbers

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


class Hit(NamedTuple):
    """A document that was found."""

    id: str
    """Its id."""
    item: str
    """Its item."""
    score: float
    """In the metric's own direction."""


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
    if query.max_per_item == 0:
        hits = _ranked(targets, query.vectors, query, query.k, metric, exact=query.exact)
    else:
        hits = _grouped(targets, query, metric)
    offsets = [0]
    for one in hits:
        offsets.append(offsets[-1] + len(one))
    return Found(
        [hit.id for one in hits for hit in one],
        [hit.item for one in hits for hit in one],
        np.array([hit.score for one in hits for hit in one], np.float32),
        offsets,
    )


def _grouped(targets: Sequence[_Target], query: Query, metric: Metric) -> list[list[Hit]]:
    total = sum(target.selected.count for target in targets)
    fetch = min(total, _FIRST_LOOK * query.k)
    ranked = _ranked(targets, query.vectors, query, fetch, metric, exact=query.exact)
    grouped = [_limit_per_item(hits, query.max_per_item, query.k) for hits in ranked]
    for place, hits in enumerate(grouped):
        # A look that ended at the threshold has seen everything that qualifies.
        if len(hits) < query.k and len(ranked[place]) == fetch < total:
            vector = np.ascontiguousarray(query.vectors[place : place + 1])
            (everything,) = _ranked(targets, vector, query, total, metric, exact=True)
            grouped[place] = _limit_per_item(everything, query.max_per_item, query.k)
    return grouped


def _limit_per_item(hits: Sequence[Hit], limit: int, k: int) -> list[Hit]:
    taken: dict[str, int] = {}
    kept: list[Hit] = []
    for hit in hits:
        if taken.get(hit.item, 0) < limit:
            taken[hit.item] = taken.get(hit.item, 0) + 1
            kept.append(hit)
            if len(kept) == k:
                break
    return kept


def _ranked(
    targets: Sequence[_Target], vectors: Vectors, query: Query, k: int, metric: Metric, *, exact: bool
) -> list[list[Hit]]:
    options = SearchOptions(k=k, exact=exact, ef=query.ef)
    merged = merge(
        [target.part.segment.search(vectors, options, target.selected) for target in targets],
        k,
        queries=len(vectors),
        larger_is_closer=metric.larger_is_closer,
    )
    valid = merged.offsets != NO_ROW
    if query.score_threshold is not None:
        threshold = np.float32(query.score_threshold)
        valid &= merged.scores >= threshold if metric.larger_is_closer else merged.scores <= threshold
    counts = valid.sum(axis=1).tolist()
    parts = [target.part for target in targets]
    return [
        [
            Hit(parts[source].ids[offset], parts[source].items[offset], score)
            for source, offset, score in zip(sources[:count], offsets[:count], scores[:count], strict=True)
        ]
        for sources, offsets, scores, count in zip(
            merged.sources.tolist(), merged.offsets.tolist(), merged.scores.tolist(), counts, strict=True
        )
    ]
