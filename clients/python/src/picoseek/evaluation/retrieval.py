"""Recall@k, mean average precision and mean inverse negative penalty of a retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""[n] int64."""


@dataclass(frozen=True)
class RetrievalScores:
    """Means over the queries that have a match in the gallery."""

    recall: dict[int, float]
    """Share of queries with a match among the first k, by k."""
    mean_average_precision: float
    """Mean over queries of the mean precision at the ranks of their matches."""
    mean_inverse_negative_penalty: float
    """Mean over queries of (number of matches) / (rank of the last match, from 1)."""
    queries: int
    """Queries that have a match; the others do not count."""


def score_similarities(
    similarities: NDArray[np.float32],
    query_labels: Labels,
    gallery_labels: Labels,
    ks: Sequence[int] = (1, 5),
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
) -> RetrievalScores:
    """Score a full matrix of similarities; see `rank_matches` for the arguments.

    Raises:
        ValueError: no query has a match in the gallery.
    """
    return score_rankings(rank_matches(similarities, query_labels, gallery_labels, query_cameras, gallery_cameras), ks)


def rank_matches(
    similarities: NDArray[np.float32],
    query_labels: Labels,
    gallery_labels: Labels,
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
) -> NDArray[np.bool_]:
    """Rank the gallery for each query and mark the matches.

    With cameras, a gallery picture of the same label and the same camera as the query is no match and gets
    similarity 0: it sinks but keeps a rank, as in PaddleClas. A camera number a picture masks self matches.

    Args:
        similarities: [queries, gallery], larger is closer.
        query_labels: [queries].
        gallery_labels: [gallery].
        query_cameras: [queries], or None.
        gallery_cameras: [gallery], or None.

    Returns:
        [queries, gallery], True where the picture at that rank matches, nearest first.
    """
    matches = query_labels[:, None] == gallery_labels[None, :]
    if query_cameras is not None and gallery_cameras is not None:
        masked = matches & (query_cameras[:, None] == gallery_cameras[None, :])
        similarities = np.where(masked, np.float32(0), similarities)
        matches = matches & ~masked
    order = np.argsort(-similarities, axis=1, kind="stable")
    return np.take_along_axis(matches, order, axis=1)


def score_rankings(
    hits: NDArray[np.bool_], ks: Sequence[int] = (1, 5), totals: NDArray[np.int64] | None = None
) -> RetrievalScores:
    """Score rankings in which the matches are marked.

    Args:
        hits: [queries, ranks], True where the picture at that rank matches, nearest first.
        ks: ranks of the recalls.
        totals: [queries], matches that the gallery holds for each query; None: the rankings are complete.
            Matches beyond the last rank add no precision, and their query's penalty counts as 0.

    Raises:
        ValueError: no query has a match in the gallery.
    """
    counts = hits.sum(axis=1) if totals is None else totals
    hits, counts = hits[counts > 0], counts[counts > 0]
    if not len(hits):
        raise ValueError("no query has a picture of its class in the gallery; check that both use the same labels")
    ranks = np.arange(1, hits.shape[1] + 1)
    precision = hits.cumsum(axis=1) / ranks
    average_precision = (precision * hits).sum(axis=1) / counts
    last = np.where(hits, ranks, 0).max(axis=1)
    complete = hits.sum(axis=1) == counts
    penalty = np.where(complete, counts / np.maximum(last, 1), 0.0)
    return RetrievalScores(
        recall={k: float(hits[:, :k].any(axis=1).mean()) for k in ks},
        mean_average_precision=float(average_precision.mean()),
        mean_inverse_negative_penalty=float(penalty.mean()),
        queries=len(hits),
    )
