"""Exact comparison with vectors in memory or in a mapped file."""

from __future__ import annotations

import numpy as np

from picoseek_search.segment.arrays import Offsets, Scores, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.hits import NO_ROW, Hits
from picoseek_search.segment.metric import Metric

_LEAST_QUERIES = 20
_LEAST_COLUMNS = 256
"""From so many queries and columns on, one product of matrices takes less than reading all rows for each query. It
would from eight queries on, but equals come in another order, and answers must not show which searches were made
together."""
_BLOCK_ROWS = 8192


def nearest(queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap) -> Hits:
    """Compare every query with every selected row. Releases the GIL.

    Args:
        queries: prepared, shape (queries, columns).
        rows: prepared, shape (rows, columns); they must not change meanwhile.
        k: hits a query, at least 1.
        metric: how to compare.
        selected: rows that may be hits.
    """
    count, columns = queries.shape
    k = min(k, max(selected.count, 1))
    is_wide = count >= _LEAST_QUERIES and columns >= _LEAST_COLUMNS and 2 * selected.count > len(rows)
    if is_wide and metric.larger_is_closer:
        candidates = _by_products(queries, rows, k, selected)
        if candidates is not None:
            return nearest_of(queries, rows, candidates, k, metric)
    offsets = np.empty((count, k), np.int64)
    selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
    if metric.is_binary:
        return Hits(_fewest_bits(queries, rows, offsets, selector), offsets)
    scores = np.empty((count, k), np.float32)
    arguments = (
        faiss.swig_ptr(queries),
        faiss.swig_ptr(rows),
        columns,
        count,
        len(rows),
        k,
        faiss.swig_ptr(scores),
        faiss.swig_ptr(offsets),
    )
    if metric is Metric.L2:
        faiss.knn_L2sqr(*arguments, None, selector)
    else:
        faiss.knn_inner_product(*arguments, selector)
    return Hits(scores, offsets)


def nearest_of(queries: Vectors, rows: Vectors, candidates: Offsets, k: int, metric: Metric) -> Hits:
    """Compare every query with some rows of its own. Releases the GIL.

    Args:
        queries: prepared float32, shape (queries, dimension).
        rows: prepared float32, shape (rows, dimension).
        candidates: shape (queries, k or more); NO_ROW stands for none.
        k: hits a query.
        metric: how to compare, not by bits.
    """
    count, dimension = queries.shape
    scores = np.empty(candidates.shape, np.float32)
    work = faiss.fvec_L2sqr_by_idx if metric is Metric.L2 else faiss.fvec_inner_products_by_idx
    work(
        faiss.swig_ptr(scores),
        faiss.swig_ptr(queries),
        faiss.swig_ptr(rows),
        faiss.swig_ptr(candidates),
        dimension,
        count,
        candidates.shape[1],
    )
    keys = np.where(candidates == NO_ROW, np.float32(np.inf), -scores if metric.larger_is_closer else scores)
    order = np.argsort(keys, axis=1, kind="stable")[:, :k]
    return Hits(np.take_along_axis(scores, order, axis=1), np.take_along_axis(candidates, order, axis=1))


def _by_products(queries: Vectors, rows: Vectors, k: int, selected: Bitmap) -> Offsets | None:
    """Return the rows with the largest products of each query, or None where products leave the range of floats.

    Squared distances are not found in this way: |a|² - 2 ab + |b|² loses what tells near vectors from each other.
    """
    left_out = None if selected.is_full else ~selected.mask()
    found: list[Offsets] = []
    largest: list[Scores] = []
    for start in range(0, len(rows), _BLOCK_ROWS):
        with np.errstate(over="ignore", invalid="ignore"):
            products = queries @ rows[start : start + _BLOCK_ROWS].T
            if not np.isfinite(products.sum()):
                return None
        if left_out is not None:
            products[:, left_out[start : start + _BLOCK_ROWS]] = -np.inf
        best = _largest(products, k)
        found.append(best + start)
        largest.append(np.take_along_axis(products, best, axis=1))
    if len(found) == 1:
        return found[0]
    return np.take_along_axis(np.concatenate(found, axis=1), _largest(np.concatenate(largest, axis=1), k), axis=1)


def _largest(values: Scores, k: int) -> Offsets:
    """Return the places of the k largest values of each row, ascending; of all if there are fewer."""
    width = values.shape[1]
    if width <= k:
        return np.broadcast_to(np.arange(width), values.shape)
    return np.sort(np.argpartition(values, width - k, axis=1)[:, width - k :], axis=1)


def _fewest_bits(queries: Vectors, rows: Vectors, offsets: Offsets, selector: object) -> Scores:
    count, k = offsets.shape
    differing = np.empty((count, k), np.int32)
    heap = faiss.int_maxheap_array_t()
    heap.nh, heap.k = count, k
    heap.ids, heap.val = faiss.swig_ptr(offsets), faiss.swig_ptr(differing)
    faiss.hammings_knn_hc(
        heap, faiss.swig_ptr(queries), faiss.swig_ptr(rows), len(rows), queries.shape[1], 1, faiss.EXACT_TOPK, selector
    )
    return differing.astype(np.float32)
