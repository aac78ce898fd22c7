"""True neighbours, and how many of them were found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picoseek.embedding import Metric, Vector

_BLOCK_QUERIES = 256
_BLOCK_ROWS = 16_384


def nearest(base: Vector, queries: Vector, k: int, metric: Metric) -> NDArray[np.int64]:
    """Return the rows of the k nearest vectors of each query, nearest first, by comparing all.

    Args:
        base: [rows, dimension] float32, or [rows, dimension / 8] uint8 of packed bits.
        queries: likewise.
        k: how many; all rows if there are fewer.
        metric: how to compare.

    Returns:
        [queries, min(k, rows)].
    """
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), _BLOCK_QUERIES):
        some = queries[start : start + _BLOCK_QUERIES]
        far = np.empty((len(some), 0), np.float64)
        rows = np.empty((len(some), 0), np.int64)
        for first in range(0, len(base), _BLOCK_ROWS):
            block = base[first : first + _BLOCK_ROWS]
            numbers = np.broadcast_to(np.arange(first, first + len(block)), (len(some), len(block)))
            far = np.concatenate([far, _all_distances(some, block, metric)], axis=1)
            rows = np.concatenate([rows, numbers], axis=1)
            if far.shape[1] > k:
                kept = np.argpartition(far, k - 1, axis=1)[:, :k]
                far, rows = np.take_along_axis(far, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        order = np.argsort(far, axis=1, kind="stable")
        found.append(np.take_along_axis(rows, order, axis=1))
    return np.concatenate(found)


def recall(
    base: Vector, queries: Vector, truth: Sequence[NDArray[np.int64]], found: Sequence[Sequence[int]], metric: Metric
) -> float:
    """Return the share of true neighbours that were found, the mean over the queries.

    One that is as close as the farthest true neighbour is as good: data with duplicates has several right answers.

    Args:
        base: what was searched.
        queries: what was looked up.
        truth: for each query the rows of its true neighbours.
        found: for each query the rows that were found.
        metric: how to compare.
    """
    shares: list[float] = []
    for query, true, got in zip(queries, truth, found, strict=True):
        if not len(true):
            shares.append(1.0)
            continue
        limit = _distances(query, base[true], metric).max()
        right = int((_distances(query, base[np.asarray(got, np.int64)], metric) <= limit).sum()) if len(got) else 0
        shares.append(min(right, len(true)) / len(true))
    return float(np.mean(shares))


def _distances(query: Vector, rows: Vector, metric: Metric) -> NDArray[np.float64]:
    """Return the distance of each row; equal rows have equal ones to the last bit."""
    if metric is Metric.HAMMING:
        bits: NDArray[np.float64] = np.unpackbits(np.bitwise_xor(rows, query), axis=1).sum(axis=1, dtype=np.float64)
        return bits
    wide, one = rows.astype(np.float64), query.astype(np.float64)
    if metric is Metric.L2:
        squares: NDArray[np.float64] = ((wide - one) ** 2).sum(axis=1)
        return squares
    products: NDArray[np.float64] = (wide * one).sum(axis=1)
    if metric is Metric.COSINE:
        products /= np.sqrt((wide**2).sum(axis=1)) * np.sqrt((one**2).sum())
    return -products


def _all_distances(queries: Vector, rows: Vector, metric: Metric) -> NDArray[np.float64]:
    """Return [queries, rows], the smaller the closer."""
    if metric is Metric.HAMMING:
        return np.stack([_distances(query, rows, metric) for query in queries])
    some, block = queries.astype(np.float64), rows.astype(np.float64)
    if metric is Metric.COSINE:
        some, block = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (some, block))
    products: NDArray[np.float64] = some @ block.T
    # The query's own square is the same for all rows.
    return (block**2).sum(axis=1) - 2 * products if metric is Metric.L2 else -products
