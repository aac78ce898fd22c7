"""Exact comparison with vectors in memory or in a mapped file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.arrays import Offsets, Scores, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.hits import NO_ROW, Hits
from picoseek_search.segment.metric import Metric

_LEAST_QUERIES = 8
_LEAST_COLUMNS = 256
_LEAST_PRODUCTS = 50_000_000
"""From so many queries, columns and products of components on, multiplying matrices takes less than a pass a query.

Measured on one core with 32 MiB of cache: of 512 components, 16,384 rows from 8 queries on, but 4,096 rows, which
stay in the cache from one query to the next, from about 24.
"""
_QUERIES_A_PASS = 16
"""From 20 on Faiss multiplies matrices, which rounds otherwise."""
_BLOCK_ROWS = 8192
_SPARE = 16
"""Rows beyond the k-th that are looked at again when products tell where the nearest are."""


def nearest(queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap) -> Hits:
    """Compare every query with every selected row. Releases the GIL.

    Hits of inner products and cosines are the same, and equals among them in the order of rows, however many queries
    are compared at once: an answer must not show which searches were made together.

    Args:
        queries: prepared, shape (queries, columns).
        rows: prepared, shape (rows, columns); they must not change meanwhile.
        k: hits a query, at least 1.
        metric: how to compare.
        selected: rows that may be hits.
    """
    k = min(k, max(selected.count, 1))
    if metric.is_binary:
        return _fewest_bits(queries, rows, k, selected)
    if metric is Metric.L2:
        return _passes(queries, rows, k, metric, selected)
    count, columns = queries.shape
    is_large = columns >= _LEAST_COLUMNS and count * len(rows) * columns >= _LEAST_PRODUCTS
    if count < _LEAST_QUERIES or not is_large or 2 * selected.count <= len(rows):
        return _largest(queries, rows, k, metric, selected)
    hits, is_sure = _by_products(queries, rows, k, metric, selected)
    if not is_sure.all():
        doubtful = np.flatnonzero(~is_sure)
        found = _largest(np.ascontiguousarray(queries[doubtful]), rows, k, metric, selected)
        hits.scores[doubtful], hits.offsets[doubtful] = found.scores, found.offsets
    return hits


def nearest_of(queries: Vectors, rows: Vectors, candidates: Offsets, k: int, metric: Metric) -> Hits:
    """Compare every query with some rows of its own; equals stay in their order. Releases the GIL.

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


def _largest(queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap) -> Hits:
    """Find the rows with the largest products, equals in their order; see nearest()."""
    # One more, to see whether the last one has equals that Faiss may have preferred to earlier rows.
    wanted = min(k + 1, max(selected.count, 1))
    parts = [
        _passes(queries[start : start + _QUERIES_A_PASS], rows, wanted, metric, selected)
        for start in range(0, len(queries), _QUERIES_A_PASS)
    ]
    scores = np.concatenate([part.scores for part in parts])
    offsets = np.concatenate([part.offsets for part in parts])
    ties = scores[:, 1:] == scores[:, :-1]
    if not ties.any():
        return Hits(scores[:, :k], offsets[:, :k])
    order = np.lexsort((offsets, -scores))
    scores, offsets = np.take_along_axis(scores, order, axis=1), np.take_along_axis(offsets, order, axis=1)
    if wanted > k:
        everything: Offsets | None = None
        for query in np.flatnonzero(ties[:, -1]):
            everything = selected.offsets()[np.newaxis] if everything is None else everything
            again = nearest_of(queries[query : query + 1], rows, everything, k, metric)
            scores[query, :k], offsets[query, :k] = again.scores[0], again.offsets[0]
    return Hits(scores[:, :k], offsets[:, :k])


def _by_products(
    queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap
) -> tuple[Hits, NDArray[np.bool_]]:
    """Find the rows with the largest products by multiplying matrices, and compute the scores of these one by one.

    Squared distances are not found in this way: |a|² - 2 ab + |b|² loses what tells near vectors from each other.

    Returns:
        The hits, and for which queries they are sure: matrices round otherwise, so that a row whose product is about
        that of the last hit may have been missed.
    """
    left_out = None if selected.is_full else ~selected.mask()
    places: list[Offsets] = []
    largest: list[Scores] = []
    longest = 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            # The other way round OpenBLAS takes a quarter longer.
            products = np.ascontiguousarray((block @ queries.T).T)
            longest = max(longest, _longest(block, metric))
            if left_out is not None:
                products[:, left_out[start : start + _BLOCK_ROWS]] = -np.inf
            best = _places_of_largest(products, k + _SPARE)
            places.append(best + start)
            largest.append(np.take_along_axis(products, best, axis=1))
        found, products = np.concatenate(places, axis=1), np.concatenate(largest, axis=1)
        best = _places_of_largest(products, k + _SPARE)
        found, products = np.take_along_axis(found, best, axis=1), np.take_along_axis(products, best, axis=1)
        found[products == -np.inf] = NO_ROW
        hits = nearest_of(queries, rows, found, k, metric)
        # Of a sum of n products of floats any order gives at most n times the rounding of one off the true one.
        rounding = queries.shape[1] * np.finfo(np.float32).eps * longest * np.sqrt(_squares(queries))
        is_sure = hits.scores[:, k - 1] > products.min(axis=1) + rounding
    return hits, is_sure


def _longest(rows: Vectors, metric: Metric) -> float:
    """Return the length of the longest row."""
    return 1.0 if metric is Metric.COSINE else float(np.sqrt(_squares(rows).max()))


def _squares(rows: Vectors) -> Scores:
    squares: Scores = np.einsum("rd,rd->r", rows, rows)
    return squares


def _places_of_largest(values: Scores, count: int) -> Offsets:
    """Return the places of the largest values of each row, ascending; of all if there are fewer."""
    width = values.shape[1]
    if width <= count:
        return np.broadcast_to(np.arange(width), values.shape)
    return np.sort(np.argpartition(values, width - count, axis=1)[:, width - count :], axis=1)


def _passes(queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap) -> Hits:
    count, columns = queries.shape
    scores, offsets = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
    selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
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


def _fewest_bits(queries: Vectors, rows: Vectors, k: int, selected: Bitmap) -> Hits:
    count = len(queries)
    offsets, differing = np.empty((count, k), np.int64), np.empty((count, k), np.int32)
    selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
    heap = faiss.int_maxheap_array_t()
    heap.nh, heap.k = count, k
    heap.ids, heap.val = faiss.swig_ptr(offsets), faiss.swig_ptr(differing)
    faiss.hammings_knn_hc(
        heap, faiss.swig_ptr(queries), faiss.swig_ptr(rows), len(rows), queries.shape[1], 1, faiss.EXACT_TOPK, selector
    )
    return Hits(differing.astype(np.float32), offsets)
