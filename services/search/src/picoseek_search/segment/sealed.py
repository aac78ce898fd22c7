"""The segment that never changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from picoseek_search.segment.arrays import Offsets, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.build import build_index, extend_graph
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.full_vectors import FullVectors
from picoseek_search.segment.gpu import Gpu, GpuCopy
from picoseek_search.segment.hits import NO_ROW, Hits
from picoseek_search.segment.huge_pages import use_huge_pages
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.rows import rows_of, storage_of
from picoseek_search.segment.scan import nearest_of
from picoseek_search.segment.segment import Reach, SearchOptions

_WIDEN_GRAPH_BELOW = 0.3
_WIDEN_CELLS_BELOW = 0.5
"""With a smaller selected share a search looks farther in proportion; that keeps recall at about .95 and above."""
MOST_CANDIDATES = 16384
"""Candidates of a query that are compared in full, whatever is asked for: all of them are in memory at once."""
_ID_BYTES = 8
_FLOAT_BYTES = 4


class SealedSegment:
    """A Faiss index that is complete. It is never changed, so any number of searches may use it at once."""

    def __init__(self, index: Any, kind: IndexKind, metric: Metric, full: FullVectors | None = None) -> None:
        """Take over an index whose rows are prepared vectors.

        Args:
            index: the index.
            kind: what it was built as.
            metric: how it compares.
            full: its vectors if it is compressed, else None.
        """
        self._index = index
        self._index_kind = kind
        self._metric = metric
        self._full = full
        self._copy: GpuCopy | None = None
        # The same rows are live from one write to the next.
        self._last_parameters: tuple[int, Bitmap | None, Any] = (0, None, None)
        self._rows = rows_of(index, kind, metric, full)
        use_huge_pages(index, kind)

    @classmethod
    def build(
        cls,
        vectors: Vectors | FullVectors,
        kind: IndexKind,
        metric: Metric,
        check: Callable[[int], None] = lambda _: None,
    ) -> SealedSegment:
        """Index prepared vectors. Releases the GIL; may take minutes.

        Args:
            vectors: at least one row, and enough to train the kind; in a file if it is compressed.
            kind: what to build.
            metric: how to compare.
            check: called now and then with the rows that are in it; an exception that it raises ends the building.
        """
        full = vectors if isinstance(vectors, FullVectors) else None
        rows = vectors.rows if isinstance(vectors, FullVectors) else vectors
        if kind.is_compressed and full is None:
            raise TypeError("a compressed index needs its full vectors in a file")
        dimension = rows.shape[1] * (8 if metric.is_binary else 1)
        return cls(build_index(rows, kind, dimension, metric, check), kind, metric, full)

    def extended(self, vectors: Vectors, check: Callable[[int], None] = lambda _: None) -> SealedSegment:
        """Return a segment with more rows behind those of this one, a graph of full vectors. Releases the GIL.

        Args:
            vectors: prepared rows.
            check: called now and then with the rows that were added; an exception that it raises ends the building.
        """
        kind = self._index_kind
        return SealedSegment(extend_graph(self._index, vectors, kind, check), kind, self._metric)

    def copy_to(self, gpu: Gpu) -> None:
        """Search on a GPU from now on, where that is possible; what is here stays, for all other searches."""
        self._copy = gpu.copy(self._index, self._index_kind)

    @property
    def index(self) -> Any:
        """The Faiss index, to be read only."""
        return self._index

    @property
    def full_vectors(self) -> FullVectors | None:
        """The file of its vectors, if it is compressed."""
        return self._full

    @property
    def kind(self) -> str:
        """Factory string of the index."""
        return self._index_kind.factory

    @property
    def index_kind(self) -> IndexKind:
        """What it was built as."""
        return self._index_kind

    @property
    def metric(self) -> Metric:
        """How it compares."""
        return self._metric

    @property
    def length(self) -> int:
        """Rows in it."""
        return int(self._index.ntotal)

    @property
    def memory_bytes(self) -> int:
        """Memory of codes, links, cells and centroids, estimated; without mapped files."""
        kind, index = self._index_kind, self._index
        a_row = storage_of(index, kind).code_size
        if kind.structure is Structure.GRAPH:
            a_row += 2 * kind.links * 4 + 16
        elif kind.structure is Structure.CELLS:
            a_row += _ID_BYTES if kind.is_compressed else 2 * _ID_BYTES
        centroids = kind.cells + (1 << kind.pq_bits if kind.pq_parts else 0)
        return self.length * int(a_row) + centroids * int(index.d) * _FLOAT_BYTES

    def search(self, queries: Vectors, options: SearchOptions, selected: Bitmap) -> Hits:
        """See Segment.search."""
        k = min(options.k, selected.count)
        if self._is_exact(options, selected):
            copied = self._on_gpu(queries, k, 0, selected) if self._index_kind.is_exact else None
            return copied or self._rows.nearest(queries, options.k, selected)
        hits = self._approximate(queries, options, k, selected)
        missing = hits.offsets == NO_ROW
        if missing.any():
            starved = np.flatnonzero(missing.any(axis=1))
            found = self._rows.nearest(np.ascontiguousarray(queries[starved]), k, selected)
            hits.scores[starved], hits.offsets[starved] = found.scores, found.offsets
        return hits

    def reach(self, options: SearchOptions, selected: Bitmap) -> Reach:
        """See Segment.reach."""
        if self._is_exact(options, selected):
            return Reach(True, selected.count)
        kind = self._index_kind
        candidates = self._candidates(options, min(options.k, selected.count), selected)
        cells = 0
        match kind.structure:
            case Structure.GRAPH:
                candidates = candidates if kind.is_compressed else self._list_length(options, candidates, selected)
            case Structure.CELLS:
                candidates = candidates if kind.is_compressed else 0
                cells = self._cells(options, selected)
            case Structure.SCAN:
                pass
        return Reach(False, candidates, cells)

    def vectors(self, offsets: Offsets) -> Vectors:
        """See Segment.vectors."""
        return self._rows.take(offsets)

    def _approximate(self, queries: Vectors, options: SearchOptions, k: int, selected: Bitmap) -> Hits:
        candidates = self._candidates(options, k, selected)
        cells = self._cells(options, selected) if self._index_kind.structure is Structure.CELLS else 0
        hits = self._on_gpu(queries, candidates, cells, selected)
        if hits is None:
            parameters = self._parameters(options, candidates, selected)
            scores, offsets = self._index.search(queries, candidates, params=parameters)
            hits = Hits(scores.astype(np.float32, copy=False), offsets)
        if self._full is None:
            return hits
        return nearest_of(queries, self._full.rows, hits.offsets, k, self._metric)

    def _on_gpu(self, queries: Vectors, k: int, cells: int, selected: Bitmap) -> Hits | None:
        """Find rows by the copy, which does not select: as many more as there are others that may come before them."""
        if self._copy is None:
            return None
        found = self._copy.search(queries, k + self.length - selected.count, cells)
        if found is None or selected.is_full:
            return found
        wanted = (found.offsets != NO_ROW) & selected.mask()[found.offsets]
        order = np.argsort(~wanted, axis=1, kind="stable")[:, :k]
        offsets = np.where(np.take_along_axis(wanted, order, 1), np.take_along_axis(found.offsets, order, 1), NO_ROW)
        return Hits(np.take_along_axis(found.scores, order, 1), offsets)

    def _parameters(self, options: SearchOptions, candidates: int, selected: Bitmap) -> Any:
        reach = 0
        match self._index_kind.structure:
            case Structure.GRAPH:
                reach = self._list_length(options, candidates, selected)
            case Structure.CELLS:
                reach = self._cells(options, selected)
            case Structure.SCAN:
                pass
        if selected.is_full:
            return _parameters_without_selector(self._index_kind.structure, reach)
        last_reach, last_selected, parameters = self._last_parameters
        if reach != last_reach or selected is not last_selected:
            parameters = _parameters(self._index_kind.structure, reach, faiss.IDSelectorBitmap(selected.packed))
            self._last_parameters = reach, selected, parameters
        return parameters

    def _candidates(self, options: SearchOptions, k: int, selected: Bitmap) -> int:
        if self._full is None:
            return k
        wanted = k * (options.rerank or self._index_kind.candidates_a_hit)
        return min(max(k, min(wanted, MOST_CANDIDATES)), selected.count)

    def _list_length(self, options: SearchOptions, candidates: int, selected: Bitmap) -> int:
        return round(max(options.ef, candidates) * self._widening(selected, _WIDEN_GRAPH_BELOW))

    def _cells(self, options: SearchOptions, selected: Bitmap) -> int:
        kind = self._index_kind
        visited = kind.visited_cells(options.nprobe, options.ef) * self._widening(selected, _WIDEN_CELLS_BELOW)
        return min(round(visited), kind.cells)

    def _widening(self, selected: Bitmap, below_share: float) -> float:
        return max(1.0, below_share * self.length / selected.count)

    def _is_exact(self, options: SearchOptions, selected: Bitmap) -> bool:
        return options.exact or self._index_kind.is_exact or self._too_few(selected, options.k)

    def _too_few(self, selected: Bitmap, k: int) -> bool:
        below = self._index_kind.exact_below
        return selected.count <= max(below.rows, 4 * k, below.share * self.length)


def _parameters(structure: Structure, reach: int, selector: Any) -> Any:
    match structure:
        case Structure.GRAPH:
            return faiss.SearchParametersHNSW(sel=selector, efSearch=reach)
        case Structure.CELLS:
            return faiss.SearchParametersIVF(sel=selector, nprobe=reach)
        case Structure.SCAN:
            return faiss.SearchParameters(sel=selector)


@lru_cache(maxsize=256)
def _parameters_without_selector(structure: Structure, reach: int) -> Any:
    # Searches only read them, and making them takes longer than many other parts of a search.
    return _parameters(structure, reach, None)
