"""Recall@1 of codes by Hamming distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_QUERIES_AT_A_TIME = 64


def code_recall_at_1(
    gallery: NDArray[np.uint8],
    gallery_labels: Sequence[str],
    queries: NDArray[np.uint8],
    query_labels: Sequence[str],
) -> float:
    """Return the part of the queries [Q, bits / 8] whose nearest code of the gallery [G, bits / 8] has their label.

    Of several codes at the same distance the first counts.

    Raises:
        ValueError: there is no query or no gallery entry.
    """
    if not len(gallery) or not len(queries):
        raise ValueError("retrieval needs at least one gallery entry and one query")
    labels = np.asarray(gallery_labels)
    nearest = [
        hamming_distances(queries[first : first + _QUERIES_AT_A_TIME], gallery).argmin(axis=1)
        for first in range(0, len(queries), _QUERIES_AT_A_TIME)
    ]
    return float((labels[np.concatenate(nearest)] == np.asarray(query_labels)).mean())


def hamming_distances(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of bits [N, M] that differ between packed codes [N, bits / 8] and [M, bits / 8]."""
    first, second = (np.unpackbits(codes, axis=1).astype(np.float32) for codes in (left, right))
    ones: NDArray[np.float32] = first.sum(axis=1)[:, None] + second.sum(axis=1)[None, :] - 2 * (first @ second.T)
    return ones.round().astype(np.int64)
