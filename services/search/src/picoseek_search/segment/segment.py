"""What growing and sealed segments have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.hits import Hits


@dataclass(frozen=True)
class SearchOptions:
    """How far a search looks."""

    k: int
    """Hits a query, at least 1."""
    exact: bool = False
    """Compare with every selected row."""
    ef: int = 64
    """HNSW: length of the candidate list."""


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
            queries: prepared, shape (queries, dimension).
            options: how far to look.
            selected: rows that may be hits; rows from `selected.length` on do not take part.
        """
        ...

    def vectors(self, selected: Bitmap) -> Vectors:
        """Return copies of the selected rows' prepared vectors, in the order of the rows."""
        ...
