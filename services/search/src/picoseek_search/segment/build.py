"""Building Faiss indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.metric import Metric

_ROWS_BETWEEN_CHECKS = 2048
_PQ_ROWS_A_CENTROID = 64
_PQ_ROUNDS = 10
_CELL_ROUNDS = 4
"""Of k-means over full vectors; ten, as Faiss does by default, take twice the time and find the same."""
_WITHOUT_TABLE = -1


def build_index(vectors: Vectors, kind: IndexKind, dimension: int, metric: Metric, check: Callable[[int], None]) -> Any:
    """Train and fill an index. Releases the GIL; may take minutes.

    Args:
        vectors: prepared, shape (rows, columns), at least `kind.rows_to_train`.
        kind: what to build; the number of cells is settled.
        dimension: components of a vector.
        metric: how to compare.
        check: called now and then with the rows that are in it; an exception that it raises ends the building.
    """
    index = _empty(kind, dimension, metric)
    check(0)
    if not kind.is_binary:
        index.train(vectors)
    _add(index, vectors, check)
    if kind.structure is Structure.CELLS:
        # Cells grow in leaps while they are filled; a copy has no more room than it needs.
        index = faiss.clone_index(index)
        if not kind.is_compressed:
            index.make_direct_map(True)
    return index


def extend_graph(index: Any, vectors: Vectors, kind: IndexKind, check: Callable[[int], None]) -> Any:
    """Return a copy of a graph with more rows behind its own. Releases the GIL; may take minutes.

    Args:
        index: the graph; it stays as it is and may be searched meanwhile.
        vectors: prepared rows to add, shape (rows, columns).
        kind: what it was built as.
        check: called now and then with the rows that were added; an exception that it raises ends the building.
    """
    check(0)
    extended = faiss.clone_binary_index(index) if kind.is_binary else faiss.clone_index(index)
    extended.hnsw.efConstruction = kind.ef_construction
    _add(extended, vectors, check)
    return extended


def _add(index: Any, vectors: Vectors, check: Callable[[int], None]) -> None:
    for start in range(0, len(vectors), _ROWS_BETWEEN_CHECKS):
        check(start)
        index.add(vectors[start : start + _ROWS_BETWEEN_CHECKS])


def _empty(kind: IndexKind, dimension: int, metric: Metric) -> Any:
    if kind.is_binary:
        index = faiss.index_binary_factory(dimension, kind.factory)
    else:
        index = faiss.index_factory(dimension, kind.factory, metric.faiss_code)
    if kind.structure is Structure.GRAPH:
        index.hnsw.efConstruction = kind.ef_construction
    if kind.structure is Structure.CELLS and not kind.pq_parts:
        index.cp.niter = _CELL_ROUNDS
    if kind.pq_parts:
        # It sorts codes for a way to search that is not taken, and costs most of the training.
        index.do_polysemous_training = False
        # Candidates are compared in full anyway, so codes need not be the last bit better.
        index.pq.cp.max_points_per_centroid = _PQ_ROWS_A_CENTROID
        index.pq.cp.niter = _PQ_ROUNDS
        # The table would take more memory than the codes: cells x parts x 256 floats.
        index.use_precomputed_table = _WITHOUT_TABLE
        index.by_residual = metric.larger_is_closer
    return index
