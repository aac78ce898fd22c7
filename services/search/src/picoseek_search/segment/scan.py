"""Exact search over vectors in memory."""

from __future__ import annotations

import numpy as np

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.hits import Hits
from picoseek_search.segment.metric import Metric


def nearest(queries: Vectors, rows: Vectors, k: int, metric: Metric, selected: Bitmap) -> Hits:
    """Compare every query with every selected row. Releases the GIL.

    Args:
        queries: prepared, shape (queries, dimension).
        rows: prepared, shape (rows, dimension); they must not change meanwhile.
        k: hits a query, at least 1.
        metric: how to compare.
        selected: rows that may be hits.
    """
    count, dimension = queries.shape
    k = min(k, max(selected.count, 1))
    scores = np.empty((count, k), np.float32)
    offsets = np.empty((count, k), np.int64)
    selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
    arguments = (
        faiss.swig_ptr(queries),
        faiss.swig_ptr(rows),
        dimension,
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
