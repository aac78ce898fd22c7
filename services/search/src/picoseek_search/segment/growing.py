"""The segment that takes new rows."""

from __future__ import annotations

import mmap

import numpy as np

from picoseek_search.segment.arrays import Offsets, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import Hits
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.scan import nearest
from picoseek_search.segment.segment import Reach, SearchOptions


class GrowingSegment:
    """A chunk of fixed capacity, searched exactly.

    One thread appends. Rows never move and are written before a bitmap that is long enough to show them is published,
    so searches need no lock.
    """

    def __init__(self, dimension: int, capacity: int, metric: Metric) -> None:
        # A mapping of its own goes back to the operating system when the chunk was merged; from the allocator's heap it
        # would stay with the process, and merging everything would leave twice the memory of the vectors.
        memory = mmap.mmap(-1, capacity * metric.row_bytes(dimension))
        self._vectors: Vectors = np.frombuffer(memory, metric.dtype).reshape(capacity, metric.columns(dimension))
        self._metric = metric
        self._length = 0

    @property
    def kind(self) -> str:
        """The word for it."""
        return "growing"

    @property
    def memory_bytes(self) -> int:
        """Memory of the chunk."""
        return self._vectors.nbytes

    @property
    def length(self) -> int:
        """Rows written."""
        return self._length

    @property
    def free(self) -> int:
        """Rows that still fit."""
        return len(self._vectors) - self._length

    def append(self, vectors: Vectors) -> None:
        """Write prepared vectors behind the last row; at most `free`."""
        end = self._length + len(vectors)
        self._vectors[self._length : end] = vectors
        self._length = end

    def truncate(self, length: int) -> None:
        """Forget the rows from `length` on, none of which was ever published."""
        self._length = length

    def search(self, queries: Vectors, options: SearchOptions, selected: Bitmap) -> Hits:
        """See Segment.search; always exact."""
        return nearest(queries, self._vectors[: selected.length], options.k, self._metric, selected)

    def reach(self, options: SearchOptions, selected: Bitmap) -> Reach:
        """See Segment.reach."""
        return Reach(True, selected.count)

    def vectors(self, offsets: Offsets) -> Vectors:
        """See Segment.vectors."""
        return self._vectors[offsets]
