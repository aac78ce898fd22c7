"""The retrieval scores as PaddleClas prints them, for comparison with its tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picoseek.evaluation.retrieval import Labels, RetrievalScores, rank_matches, score_rankings

_BLOCK = 64


def score_like_paddleclas(
    similarities: NDArray[np.float32],
    query_labels: Labels,
    gallery_labels: Labels,
    ks: Sequence[int] = (1, 5),
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
) -> RetrievalScores:
    """Score a full matrix of similarities with two habits of PaddleClas.

    It scores blocks of 64 queries and weights each block's mean by the block's size, queries without a match
    included; and its inverse negative penalty divides by the last match's rank counted from 0, so that it may
    exceed 1, and is infinite for a query whose only match comes first.

    Args:
        similarities: [queries, gallery], larger is closer.
        query_labels: [queries].
        gallery_labels: [gallery].
        ks: ranks of the recalls.
        query_cameras: [queries], or None; see `rank_matches`.
        gallery_cameras: [gallery], or None.

    Raises:
        ValueError: a block has no query with a match in the gallery; PaddleClas prints NaN then.
    """
    hits = rank_matches(similarities, query_labels, gallery_labels, query_cameras, gallery_cameras)
    blocks = [hits[start : start + _BLOCK] for start in range(0, len(hits), _BLOCK)]
    scores = [score_rankings(block, ks) for block in blocks]
    weights = np.array([len(block) for block in blocks]) / len(hits)
    return RetrievalScores(
        recall={k: float(weights @ [score.recall[k] for score in scores]) for k in ks},
        mean_average_precision=float(weights @ [score.mean_average_precision for score in scores]),
        mean_inverse_negative_penalty=float(weights @ [_penalty_from_rank_zero(block) for block in blocks]),
        queries=sum(score.queries for score in scores),
    )


def _penalty_from_rank_zero(hits: NDArray[np.bool_]) -> float:
    matched = hits[hits.any(axis=1)]
    last = np.where(matched, np.arange(hits.shape[1]), 0).max(axis=1)
    with np.errstate(divide="ignore"):
        return float((matched.sum(axis=1) / last).mean())
