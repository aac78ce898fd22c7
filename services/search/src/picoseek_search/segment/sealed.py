"""The segment that never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.hits import NO_ROW, Hits
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.scan import nearest
from picoseek_search.segment.segment import SearchOptions

EXACT_BELOW_ROWS = 2048
"""With fewer selected rows all of them are compared: 0.1 ms for 1,000 of 512 components, as much as a graph search."""
EXACT_BELOW_SHARE = 0.1
"""With a smaller selected share all selected rows are compared: a graph search finds .89 at this share, .57 at 0.02."""
WIDEN_BELOW_SHARE = 0.3
"""With a smaller selected share the candidate list grows in proportion; that keeps recall above .95."""
_ROWS_BETWEEN_CHECKS = 2048


class SealedSegment:
    """A Faiss index that is complete. It is never changed, so any number of searches may use it at once."""

    def __init__(self, index: Any, kind: IndexKind, metric: Metric) -> None:
        """Take over an index of that kind whose rows are prepared vectors."""
        self._index = index
        self._index_kind = kind
        self._metric = metric
        flat = index if kind.is_exact else faiss.downcast_index(index.storage)
        # A view of the index's own memory, which lives as long as the index.
        self._vectors: Vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)

    @classmethod
    def build(
        cls, vectors: Vectors, kind: IndexKind, metric: Metric, check: Callable[[], None] = lambda: None
    ) -> SealedSegment:
        """Index prepared vectors, shape (rows, dimension), at least one row. Releases the GIL; may take minutes.

        `check` is called now and then; an exception that it raises ends the building.
        """
        dimension = vectors.shape[1]
        if kind.links is None:
            index = faiss.IndexFlat(dimension, metric.faiss_code)
        else:
            index = faiss.IndexHNSWFlat(dimension, kind.links, metric.faiss_code)
            index.hnsw.efConstruction = kind.ef_construction
        for start in range(0, len(vectors), _ROWS_BETWEEN_CHECKS):
            check()
            index.add(vectors[start : start + _ROWS_BETWEEN_CHECKS])
        return cls(index, kind, metric)

    @property
    def index(self) -> Any:
        """The Faiss index, to be read only."""
        return self._index

    @property
    def kind(self) -> str:
        """Factory string of the index."""
        return self._index_kind.factory

    @property
    def index_kind(self) -> IndexKind:
        """What it was built as."""
        return self._index_kind

    @property
    def length(self) -> int:
        """Rows in it."""
        return len(self._vectors)

    @property
    def memory_bytes(self) -> int:
        """Memory of vectors and links, estimated."""
        links = 0 if self._index_kind.links is None else self.length * (2 * self._index_kind.links * 4 + 16)
        return self._vectors.nbytes + links

    def search(self, queries: Vectors, options: SearchOptions, selected: Bitmap) -> Hits:
        """See Segment.search."""
        if options.exact or self._index_kind.is_exact or self._too_few(selected, options.k):
            return nearest(queries, self._vectors, options.k, self._metric, selected)
        k = min(options.k, selected.count)
        selector = None if selected.is_full else faiss.IDSelectorBitmap(selected.packed)
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=self._candidates(options.ef, k, selected))
        scores, offsets = self._index.search(queries, k, params=parameters)
        starved = np.flatnonzero((offsets == NO_ROW).any(axis=1))
        if len(starved):
            found = nearest(np.ascontiguousarray(queries[starved]), self._vectors, k, self._metric, selected)
            scores[starved], offsets[starved] = found.scores, found.offsets
        return Hits(scores, offsets)

    def vectors(self, selected: Bitmap) -> Vectors:
        """See Segment.vectors."""
        return self._vectors[selected.offsets()]

    def _too_few(self, selected: Bitmap, k: int) -> bool:
        return selected.count <= max(EXACT_BELOW_ROWS, 4 * k, EXACT_BELOW_SHARE * self.length)

    def _candidates(self, ef: int, k: int, selected: Bitmap) -> int:
        share = selected.count / self.length
        return round(max(ef, k) * max(1.0, WIDEN_BELOW_SHARE / share))
