"""What growing and sealed segments have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from picoseek_search.segment.arrays import Offsets, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import Hits


@dataclass(frozen=True)
class SearchOptions:
    """How far a search looks; what does not fit the index is passed over."""

    k: int
    """Hits a query, at least 1."""
    exact: bool = False
    """Compare with every selected row."""
    ef: int = 64
    """HNSW: length of the candidate list."""
    nprobe: int = 0
    """IVF: cells that are visited; 0: chosen by the number of cells and by `ef`."""
    rerank: int = 0
    """SQ8 and PQ: candidates a hit that are compared in full; 0: chosen by the kind of code."""


@dataclass(frozen=True)
class Reach:
    """How far a search of a segment looks."""

    is_exact: bool
    """Every selected row is compared."""
    candidates: int
    """Rows that are candidates: all selected ones if exact; else the length of the graph's list, or those whose full
    vectors are compared; 0: as many as lie in the cells."""
    cells: int = 0
    """IVF: cells that are visited, if not exact."""


class Segment(Protocol):
    """Rows of vectors that can be searched while others write elsewhere."""

    @property
    def kind(self) -> str:
        """Factory string of the index, or "growing"."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Memory of vectors and links, estimated."""
        ...

    def search(self, queries: Vectors, options: SearchOptions, selected: Bitmap) -> Hits:
        """Find the nearest selected rows: exactly min(k, selected rows) hits a query.

        Args:
            queries: prepared, shape (queries, columns).
            options: how far to look.
            selected: rows that may be hits; rows from `selected.length` on do not take part.
        """
        ...

    def reach(self, options: SearchOptions, selected: Bitmap) -> Reach:
        """Return how far search() looks; one that finds too few rows looks at all of them after that."""
        ...

    def vectors(self, offsets: Offsets) -> Vectors:
        """Return copies of some rows' prepared vectors, in the order of the offsets."""
        ...
