"""What a search of rows finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from picoseek_search.segment.arrays import Offsets, Scores

NO_ROW = -1
"""Stands in `Hits.offsets` where there are fewer hits than asked for."""


@dataclass(frozen=True, eq=False)
class Hits:
    """The nearest rows of each query in one segment, nearest first."""

    scores: Scores
    """Shape (queries, k)."""
    offsets: Offsets
    """Shape (queries, k); NO_ROW from the last hit of a query on."""


@dataclass(frozen=True, eq=False)
class MergedHits:
    """The nearest rows of each query over several segments, nearest first."""

    scores: Scores
    """Shape (queries, k)."""
    sources: Offsets
    """Shape (queries, k): place of the segment in the list that was merged."""
    offsets: Offsets
    """Shape (queries, k): row in that segment; NO_ROW from the last hit of a query on."""


def merge(parts: Sequence[Hits], k: int, *, queries: int, larger_is_closer: bool) -> MergedHits:
    """Return the k nearest of several segments' hits; among equals, the earlier segment's come first."""
    if not parts:
        return MergedHits(
            np.zeros((queries, 0), np.float32), np.zeros((queries, 0), np.int64), np.zeros((queries, 0), np.int64)
        )
    scores = np.concatenate([part.scores for part in parts], axis=1)
    offsets = np.concatenate([part.offsets for part in parts], axis=1)
    count, width = offsets.shape
    keys = np.where(offsets == NO_ROW, np.float32(np.inf), -scores if larger_is_closer else scores)
    order = np.argsort(keys, axis=1, kind="stable")[:, :k]
    places = order + np.arange(0, count * width, width)[:, np.newaxis]
    sources = np.repeat(np.arange(len(parts)), [part.offsets.shape[1] for part in parts])
    return MergedHits(scores.take(places), sources.take(order), offsets.take(places))
