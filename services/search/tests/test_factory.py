"""Which factory strings are served, and what the others are told."""

from __future__ import annotations

import pytest
from picoseek_search.segment.factory import check_fit, parse_factory
from picoseek_search.segment.index_kind import IndexKind, Structure

SERVED = {
    "Flat": IndexKind(),
    "SQ8": IndexKind(codes="SQ8"),
    "HNSW4": IndexKind(Structure.GRAPH, links=4),
    "HNSW64": IndexKind(Structure.GRAPH, links=64),
    "HNSW32,SQ8": IndexKind(Structure.GRAPH, "SQ8", links=32),
    "IVF,Flat": IndexKind(Structure.CELLS),
    "IVF100,Flat": IndexKind(Structure.CELLS, cells=100),
    "IVF65536,SQ8": IndexKind(Structure.CELLS, "SQ8", cells=65536),
    "IVF,PQ16": IndexKind(Structure.CELLS, "PQ16"),
    "IVF256,PQ16x4": IndexKind(Structure.CELLS, "PQ16x4", cells=256),
    "BFlat": IndexKind(is_binary=True),
    "BHNSW16": IndexKind(Structure.GRAPH, links=16, is_binary=True),
}
SAME = {"HNSW32,Flat": "HNSW32", "IVF9,PQ16x8": "IVF9,PQ16", "IVF,PQ16,RFlat": "IVF,PQ16", "SQ8,RFlat": "SQ8"}
UNKNOWN = ["", "flat", "HNSW", "HNSW3", "HNSW65", "HNSW٣٢", "HNSW32,PQ8", "IVF0,Flat", "IVF65537,Flat", "IVF4", "LSH"]
UNKNOWN += ["IVF4,PQ0", "IVF4,PQ8x5", "BHNSW3", "BHNSW16,SQ8", "Flat ", "IVF4,Flat,SQ8", "RFlat", "OPQ4,IVF4,PQ4"]


@pytest.mark.parametrize("factory", SERVED)
def test_reads_and_writes_what_is_served(factory: str) -> None:
    assert parse_factory(factory, 80) == SERVED[factory]
    assert SERVED[factory].factory == factory


@pytest.mark.parametrize("factory", SAME)
def test_other_ways_to_write_the_same(factory: str) -> None:
    assert parse_factory(factory, 80).factory == SAME[factory]


@pytest.mark.parametrize("factory", UNKNOWN)
def test_others_are_refused_with_those_served(factory: str) -> None:
    with pytest.raises(ValueError, match=r'is not served: use "Flat", "HNSW<M>".* for packed bits "BFlat"'):
        parse_factory(factory, 80)


@pytest.mark.parametrize("factory", ["PQ16", "PQ16x4fs", "PQ16x4fsr", "IVF64,PQ16x4fs", "OPQ16,PQ16", "PQ16,RFlat"])
def test_indexes_that_cannot_leave_rows_out_are_refused_with_one_that_can(factory: str) -> None:
    with pytest.raises(ValueError, match='removed or filtered rows out of it; use "IVF,PQ<m>"'):
        parse_factory(factory, 80)
    with pytest.raises(ValueError, match='use "BFlat" or "BHNSW<M>"'):
        parse_factory("BIVF64", 80)


@pytest.mark.parametrize("factory", ["Flat,RFlat", "HNSW32,RFlat", "IVF,Flat,RFlat"])
def test_full_vectors_need_no_refinement(factory: str) -> None:
    with pytest.raises(ValueError, match="leave ',RFlat' out"):
        parse_factory(factory, 80)


def test_an_index_must_fit_its_vectors() -> None:
    check_fit(parse_factory("IVF,PQ12", 80), 24, is_binary=False)
    with pytest.raises(ValueError, match=r"PQ16 .* dimension 24 has none; use one of 1, 2, 3, 4, 6, 8, 12, 24 parts"):
        check_fit(parse_factory("IVF,PQ16", 80), 24, is_binary=False)
    with pytest.raises(ValueError, match=r"'HNSW32' does not hold packed bits; use \"BFlat\""):
        check_fit(parse_factory("HNSW32", 80), 24, is_binary=True)
    with pytest.raises(ValueError, match=r"'BFlat' does not hold float32; use \"Flat\""):
        check_fit(parse_factory("BFlat", 80), 24, is_binary=False)


@pytest.mark.parametrize(
    ("factory", "rows", "expected"),
    [
        ("IVF64,Flat", 64 * 39 - 1, "Flat"),
        ("IVF64,Flat", 64 * 39, "IVF64,Flat"),
        ("IVF,PQ8", 256 * 39 - 1, "Flat"),
        ("IVF,PQ8x4", 16 * 39, "IVF16,PQ8x4"),
        ("IVF,Flat", 10_000, "IVF256,Flat"),
        ("IVF,Flat", 1_000_000, "IVF4000,Flat"),
        ("HNSW32", 499, "Flat"),
        ("HNSW32", 500, "HNSW32"),
        ("BHNSW32", 1999, "BFlat"),
        ("BHNSW32", 2000, "BHNSW32"),
    ],
)
def test_too_few_rows_for_an_index_are_compared_in_full(factory: str, rows: int, expected: str) -> None:
    assert parse_factory(factory, 80).for_rows(rows, 500).factory == expected


@pytest.mark.parametrize(
    ("cells", "nprobe", "ef", "visited"),
    [
        (894, 0, 64, 60),
        (894, 0, 128, 120),
        (894, 0, 1, 60),
        (894, 7, 128, 7),
        (894, 4000, 64, 894),
        (12, 0, 64, 8),
        (5, 0, 64, 5),
    ],
)
def test_a_search_visits_as_many_cells_as_it_says_or_twice_their_square_root(
    cells: int, nprobe: int, ef: int, visited: int
) -> None:
    assert IndexKind(Structure.CELLS, cells=cells).visited_cells(nprobe, ef) == visited
