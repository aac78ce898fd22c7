"""Faiss factory strings: which are served, and what to take instead of the others."""

from __future__ import annotations

import re

from picoseek_search.segment.index_kind import IndexKind, Structure

SERVED = '"Flat", "HNSW<M>", "SQ8", "HNSW<M>,SQ8", "IVF<n>,Flat", "IVF<n>,SQ8" or "IVF<n>,PQ<m>"'
"""The factory strings of float32 vectors that are served, for messages."""
SERVED_BITS = '"BFlat" or "BHNSW<M>"'
"""The factory strings of packed bits that are served, for messages."""

_MOST_CELLS = 65536
_SCAN = re.compile(r"Flat|SQ8")
_HNSW = re.compile(r"HNSW(?P<links>\d{1,2})(?:,(?P<codes>Flat|SQ8))?", re.ASCII)
_IVF = re.compile(r"IVF(?P<cells>\d{0,5}),(?P<codes>Flat|SQ8|PQ[1-9]\d{0,3}(?:x[48])?)", re.ASCII)
_BITS = re.compile(r"B(?:Flat|HNSW(?P<links>\d{1,2}))", re.ASCII)
_NOT_FILTERED = re.compile(r"(?:OPQ[^,]*,)?(?:PQ\d.*|.*fsr?\b.*)", re.ASCII)
_REFINED = ",RFlat"


def parse_factory(factory: str, ef_construction: int) -> IndexKind:
    """Read a factory string.

    A final ",RFlat" is allowed with SQ8 and PQ and says what is done with them anyway: candidates are compared in full.

    Raises:
        ValueError: it is not one that is served; the message says which are.
    """
    bare = factory.removesuffix(_REFINED)
    kind = _parse(bare, ef_construction)
    if kind is None:
        raise ValueError(f"index factory {factory!r} is not served: {_advice(factory)}")
    if bare != factory and not kind.is_compressed:
        raise ValueError(f"index factory {factory!r}: {bare!r} keeps full vectors, leave {_REFINED!r} out")
    return kind


def check_fit(kind: IndexKind, dimension: int, *, is_binary: bool) -> None:
    """Refuse an index that cannot hold vectors of that dimension or layout.

    Raises:
        ValueError: the message says what fits.
    """
    if kind.is_binary != is_binary:
        fitting = SERVED_BITS if is_binary else SERVED
        raise ValueError(f"{kind.factory!r} does not hold {'packed bits' if is_binary else 'float32'}; use {fitting}")
    if kind.pq_parts and dimension % kind.pq_parts:
        fitting = ", ".join(str(parts) for parts in range(1, dimension + 1) if dimension % parts == 0)
        raise ValueError(
            f"PQ{kind.pq_parts} splits vectors into {kind.pq_parts} equal parts and dimension {dimension} has none; "
            f"use one of {fitting} parts"
        )


def _parse(bare: str, ef_construction: int) -> IndexKind | None:
    if _SCAN.fullmatch(bare):
        return IndexKind(codes=bare, ef_construction=ef_construction)
    if (match := _HNSW.fullmatch(bare)) and 4 <= int(match["links"]) <= 64:
        return IndexKind(Structure.GRAPH, match["codes"] or "Flat", int(match["links"]), 0, ef_construction)
    if (match := _IVF.fullmatch(bare)) and match["cells"] != "0" and int(match["cells"] or 0) <= _MOST_CELLS:
        codes = match["codes"].removesuffix("x8")
        return IndexKind(Structure.CELLS, codes, 0, int(match["cells"] or 0), ef_construction)
    if match := _BITS.fullmatch(bare):
        if match["links"] is None:
            return IndexKind(ef_construction=ef_construction, is_binary=True)
        if 4 <= int(match["links"]) <= 64:
            return IndexKind(Structure.GRAPH, "Flat", int(match["links"]), 0, ef_construction, is_binary=True)
    return None


def _advice(factory: str) -> str:
    if factory.startswith("BIVF"):
        return f"Faiss cannot leave removed or filtered rows out of a binary IVF; use {SERVED_BITS}"
    if _NOT_FILTERED.fullmatch(factory):
        return 'Faiss cannot leave removed or filtered rows out of it; use "IVF,PQ<m>", or "SQ8" to compare with all'
    return f"use {SERVED}, for packed bits {SERVED_BITS}; M is 4 to 64, n 1 to {_MOST_CELLS} or left out"
