"""Retrieval measures on cosine similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RetrievalScore:
    """What the nearest gallery entries say about the queries."""

    recall_at_1: float
    """Part of the queries whose nearest entry has their label."""
    recall_at_5: float
    """Part of the queries with their label among the nearest five."""
    mean_average_precision: float
    """Mean over queries with a match in the gallery of the average precision of the whole ranking."""


def score_retrieval(
    gallery: NDArray[np.float32],
    gallery_labels: Sequence[str],
    queries: NDArray[np.float32],
    query_labels: Sequence[str],
) -> RetrievalScore:
    """Rank the gallery [G, D] for each query [Q, D] by cosine; vectors need not be normalised.

    Raises:
        ValueError: there is no query or no gallery entry.
    """
    if not len(gallery) or not len(queries):
        raise ValueError("retrieval needs at least one gallery entry and one query")
    similarity = unit_rows(queries) @ unit_rows(gallery).T
    order = np.argsort(-similarity, axis=1, kind="stable")
    hits = np.asarray(gallery_labels)[order] == np.asarray(query_labels)[:, None]
    matched = hits.any(axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    average_precision = (precision * hits).sum(axis=1)[matched] / hits.sum(axis=1)[matched]
    return RetrievalScore(
        float(hits[:, 0].mean()),
        float(hits[:, :5].any(axis=1).mean()),
        float(average_precision.mean()) if matched.any() else 0.0,
    )


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows at unit L2 norm; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
