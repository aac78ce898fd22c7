"""What a sealed segment is indexed as."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

ROWS_A_CENTROID = 39
"""Rows that training takes at least for each centroid, as in Faiss: with fewer, centroids stand for a row or two."""
_DEFAULT_PQ_BITS = 8
_DEFAULT_EF = 64
_BITS_AS_CHEAP = 4
_INTERIM_CODES = "SQ8"
"""They are a quarter of the vectors, and reading those is what a search of cells waits for."""
"""So many rows of packed bits are compared in the time of one row of floats, about."""


class Structure(Enum):
    """How an index finds the rows to compare with."""

    SCAN = "scan"
    """It compares with all of them."""
    GRAPH = "graph"
    """HNSW: it walks from neighbour to neighbour."""
    CELLS = "cells"
    """IVF: it visits the cells whose centroids are nearest."""


class ExactBelow(NamedTuple):
    """When comparing with every selected row costs no more than the index, or the index would miss too much."""

    rows: int
    """With so many selected rows or fewer."""
    share: float
    """With so small a share of selected rows, or a smaller one."""


@dataclass(frozen=True)
class IndexKind:
    """An index over vectors."""

    structure: Structure = Structure.SCAN
    """How it finds rows."""
    codes: str = "Flat"
    """What it keeps of a vector: "Flat" (all of it), "SQ8", "PQ<m>" or "PQ<m>x4"."""
    links: int = 0
    """HNSW: links a row (Faiss' M)."""
    cells: int = 0
    """IVF: number of cells; 0: chosen from the rows."""
    ef_construction: int = 80
    """HNSW: length of the candidate list while building."""
    is_binary: bool = False
    """Its vectors are packed bits."""

    @property
    def factory(self) -> str:
        """The factory string."""
        match self.structure:
            case Structure.GRAPH:
                name = f"HNSW{self.links}" if self.codes == "Flat" else f"HNSW{self.links},{self.codes}"
            case Structure.CELLS:
                name = f"IVF{self.cells or ''},{self.codes}"
            case Structure.SCAN:
                name = self.codes
        return f"B{name}" if self.is_binary else name

    @property
    def is_exact(self) -> bool:
        """Whether it compares with every row in full anyway."""
        return self.structure is Structure.SCAN and not self.is_compressed

    @property
    def is_compressed(self) -> bool:
        """Whether it keeps less than the full vectors."""
        return self.codes != "Flat"

    @property
    def pq_parts(self) -> int:
        """PQ: parts of a vector that get a code each; else 0."""
        return int(self.codes.removeprefix("PQ").partition("x")[0]) if self.codes.startswith("PQ") else 0

    @property
    def pq_bits(self) -> int:
        """PQ: bits of a code."""
        return int(self.codes.partition("x")[2] or _DEFAULT_PQ_BITS)

    @property
    def rows_to_train(self) -> int:
        """Rows without which it cannot be trained well."""
        centroids = 1 if self.structure is Structure.CELLS else 0
        if self.pq_parts:
            centroids = 1 << self.pq_bits
        return ROWS_A_CENTROID * max(centroids, self.cells)

    @property
    def exact_below(self) -> ExactBelow:
        """When not to use it."""
        match self.structure:
            case Structure.SCAN:
                return _SCAN_OF_CODES
            case Structure.GRAPH:
                return _GRAPH_OF_BITS if self.is_binary else _GRAPH
            case Structure.CELLS:
                return _CELLS_OF_CODES if self.is_compressed else _CELLS_OF_VECTORS

    @property
    def candidates_a_hit(self) -> int:
        """Candidates that are compared in full for each hit, where a search does not say."""
        if self.pq_parts:
            return 16
        return 2 if self.is_compressed else 1

    def builds_like(self, other: IndexKind) -> bool:
        """Whether both build the same of any rows."""
        return self._recipe == other._recipe

    def may_have_built(self, built: IndexKind) -> bool:
        """Whether an index whose number of cells is settled is what this builds of enough rows."""
        return self.builds_like(built if self.cells else replace(built, cells=0))

    def may_hold(self, built: IndexKind) -> bool:
        """Whether an index may be one of a collection of this kind: what it builds, or builds in the meantime."""
        is_interim = self._has_interim and built.structure is Structure.CELLS and not built.pq_parts
        return self.may_have_built(built) or is_interim

    @property
    def _has_interim(self) -> bool:
        return self.structure is Structure.GRAPH and not self.is_compressed and not self.is_binary

    @property
    def _recipe(self) -> IndexKind:
        return self if self.structure is Structure.GRAPH else replace(self, ef_construction=0)

    def exact(self) -> IndexKind:
        """Return the kind that compares with every row in full."""
        return IndexKind(ef_construction=self.ef_construction, is_binary=self.is_binary)

    def for_rows(self, rows: int, worthwhile: int) -> IndexKind:
        """Return what to build for a number of rows.

        With fewer rows than `worthwhile` (of bits four times that), or than training takes, that is the exact kind. A
        number of cells that was left open is four times the square root of the rows, but never so many that training
        lacks rows.
        """
        if rows < max(worthwhile * (_BITS_AS_CHEAP if self.is_binary else 1), self.rows_to_train):
            return self.exact()
        if self.structure is Structure.CELLS and not self.cells:
            return replace(self, cells=min(round(4 * math.sqrt(rows)), rows // ROWS_A_CENTROID))
        return self

    def interim(self, rows: int) -> IndexKind | None:
        """Return what a graph's rows are put into while there is no time for the graph; None: there is nothing faster.

        Cells over 4,096 to 16,384 rows of 512 components take a quarter to a third of the graph's time to build, and
        are searched in half of its time to all of it.
        """
        if not self._has_interim:
            return None
        cells = replace(self, structure=Structure.CELLS, links=0, codes=_INTERIM_CODES).for_rows(rows, 1)
        return None if cells.is_exact else cells

    def visited_cells(self, nprobe: int, ef: int) -> int:
        """Return how many cells a search visits.

        That is what `nprobe` says. Where it is 0, twice the square root of the cells and at least 8, which finds .95 to
        .99 of ten hits among 4,096 to 300,000 rows of very different kinds; a search that asks for more effort with a
        longer list (`ef`) gets as many times more.
        """
        return min(nprobe or round(max(8.0, 2 * math.sqrt(self.cells)) * max(1, ef / _DEFAULT_EF)), self.cells)


# Measured with benchmarks/exact_crossover.py: 50,000 vectors of 512 components or bits, one core, k 10, defaults.
# Above these shares the index is faster; just below them a graph begins to miss hits and comparing is faster already.
# SQ8 and comparing in full are about equal from a fifth of the rows down; a tenth spares reading the file.
# Full vectors in cells are compared cell by cell, which is slower than in one piece, so the index wins earlier. Of bits
# 50,000 rows are compared in the time of one walk through their graph (0.1 ms).
_SCAN_OF_CODES = ExactBelow(2048, 0.1)
_GRAPH = ExactBelow(2048, 0.1)
_CELLS_OF_VECTORS = ExactBelow(2048, 0.02)
_CELLS_OF_CODES = ExactBelow(2048, 0.1)
_GRAPH_OF_BITS = ExactBelow(32768, 0.2)
