"""What a space is worth on pictures that were kept aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.evaluation.retrieval import unit_rows

_DRAWS = 10
_QUERIES_AT_A_TIME = 64


@dataclass(frozen=True)
class HeldOutRecall:
    """Recall@1 of held-out pictures, whole, by cosine."""

    all_references: float
    """Each looked up among all pictures that were learned from."""
    one_reference: float
    """Each looked up among one of them a class; the mean of ten random choices."""


def measure(vectors: NDArray[np.float32], labels: NDArray[np.str_], held: NDArray[np.bool_]) -> HeldOutRecall:
    """Measure vectors [N, D] with their labels [N]; `held` [N] says which are queries.

    A set that was photographed in series answers nearly all queries from the picture before, so that only the figure
    for one reference a class tells spaces apart.
    """
    unit = unit_rows(vectors)
    gallery, gallery_labels = unit[~held], labels[~held]
    queries, query_labels = unit[held], labels[held]
    rng = np.random.default_rng(0)
    drawn: list[float] = []
    for _ in range(_DRAWS):
        order = rng.permutation(len(gallery))
        _, first = np.unique(gallery_labels[order], return_index=True)
        rows = order[first]
        drawn.append(_recall_at_1(gallery[rows], gallery_labels[rows], queries, query_labels))
    return HeldOutRecall(_recall_at_1(gallery, gallery_labels, queries, query_labels), float(np.mean(drawn)))


def _recall_at_1(
    gallery: NDArray[np.float32],
    gallery_labels: NDArray[np.str_],
    queries: NDArray[np.float32],
    query_labels: NDArray[np.str_],
) -> float:
    nearest = [
        (queries[first : first + _QUERIES_AT_A_TIME] @ gallery.T).argmax(axis=1)
        for first in range(0, len(queries), _QUERIES_AT_A_TIME)
    ]
    return float((gallery_labels[np.concatenate(nearest)] == query_labels).mean())
