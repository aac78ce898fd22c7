"""The full vectors that an index was built from, wherever they are."""

from __future__ import annotations

from typing import Any, Protocol

from picoseek_search.segment.arrays import Offsets, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.full_vectors import FullVectors
from picoseek_search.segment.hits import Hits
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.scan import nearest


class Rows(Protocol):
    """Prepared vectors by row."""

    def nearest(self, queries: Vectors, k: int, selected: Bitmap) -> Hits:
        """Compare with every selected row: min(k, selected rows) hits a query."""
        ...

    def take(self, offsets: Offsets) -> Vectors:
        """Return copies of some rows' vectors."""
        ...


class ArrayRows:
    """Vectors in an array: an index's own memory, or a mapped file."""

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self._vectors = vectors
        self._metric = metric

    def nearest(self, queries: Vectors, k: int, selected: Bitmap) -> Hits:
        """See Rows.nearest."""
        return nearest(queries, self._vectors, k, self._metric, selected)

    def take(self, offsets: Offsets) -> Vectors:
        """See Rows.take."""
        return self._vectors[offsets]


class CellRows:
    """Full vectors inside the cells of an IVF index, which finds a row by its direct map."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def nearest(self, queries: Vectors, k: int, selected: Bitmap) -> Hits:
        """See Rows.nearest; visits all cells."""
        k = min(k, max(selected.count, 1))
        selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
        everywhere = faiss.SearchParametersIVF(sel=selector, nprobe=self._index.nlist)
        return Hits(*self._index.search(queries, k, params=everywhere))

    def take(self, offsets: Offsets) -> Vectors:
        """See Rows.take."""
        found: Vectors = self._index.reconstruct_batch(offsets)
        return found


def rows_of(index: Any, kind: IndexKind, metric: Metric, full: FullVectors | None) -> Rows:
    """Return the full vectors of a complete index, `full` being those of a compressed one."""
    if full is not None:
        return ArrayRows(full.rows, metric)
    if kind.structure is Structure.CELLS:
        return CellRows(index)
    flat = storage_of(index, kind)
    columns, begin = (flat.code_size, flat.xb.data()) if kind.is_binary else (flat.d, flat.get_xb())
    # A view of the index's own memory, which lives as long as the index.
    view: Vectors = faiss.rev_swig_ptr(begin, flat.ntotal * columns).reshape(flat.ntotal, columns)
    return ArrayRows(view, metric)


def storage_of(index: Any, kind: IndexKind) -> Any:
    """Return the part of an index that keeps vectors or codes: the index itself, or what a graph lies over."""
    if kind.structure is not Structure.GRAPH:
        return index
    downcast = faiss.downcast_IndexBinary if kind.is_binary else faiss.downcast_index
    return downcast(index.storage)
