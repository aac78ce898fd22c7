"""What the search benchmark reads, and how it judges what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek import InvalidArgumentError, Metric
from picoseek.benchmark.nearest import nearest, recall
from picoseek.benchmark.vector_set import read_vector_set


def distances(base: np.ndarray, query: np.ndarray, metric: Metric) -> list[float]:
    """Distance of each row by the book."""
    match metric:
        case Metric.HAMMING:
            return [sum(int(a ^ b).bit_count() for a, b in zip(row, query, strict=True)) for row in base]
        case Metric.L2:
            return [sum((float(a) - float(b)) ** 2 for a, b in zip(row, query, strict=True)) for row in base]
        case Metric.INNER_PRODUCT:
            return [-sum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in base]
        case Metric.COSINE:
            return [
                -sum(float(a) * float(b) for a, b in zip(row, query, strict=True))
                / float(np.linalg.norm(row.astype(float)) * np.linalg.norm(query.astype(float)))
                for row in base
            ]


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 40),
    k=st.integers(1, 50),
    metric=st.sampled_from(list(Metric)),
)
def test_the_nearest_are_those_by_the_book(seed: int, rows: int, k: int, metric: Metric) -> None:
    draw = np.random.default_rng(seed)
    if metric is Metric.HAMMING:
        base, queries = (draw.integers(0, 256, (count, 3), np.uint8) for count in (rows, 4))
    else:
        base, queries = (draw.normal(size=(count, 6)).astype(np.float32) for count in (rows, 4))
    found = nearest(base, queries, k, metric)
    assert found.shape == (4, min(k, rows))
    for query, got in zip(queries, found.tolist(), strict=True):
        far = distances(base, query, metric)
        assert len(set(got)) == len(got)
        np.testing.assert_allclose([far[row] for row in got], sorted(far)[: len(got)], atol=1e-5)
    assert recall(base, queries, list(found), found.tolist(), metric) == 1.0


def test_neighbours_of_later_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    base, queries = (draw.normal(size=(count, 8)).astype(np.float32) for count in (500, 30))
    whole = nearest(base, queries, 10, Metric.L2)
    monkeypatch.setattr("picoseek.benchmark.nearest._BLOCK_ROWS", 37)
    monkeypatch.setattr("picoseek.benchmark.nearest._BLOCK_QUERIES", 7)
    np.testing.assert_array_equal(nearest(base, queries, 10, Metric.L2), whole)


def test_recall_counts_what_is_as_close_as_the_last_true_neighbour() -> None:
    base = np.array([[0], [1], [1], [2], [9]], np.float32)
    query = np.zeros((1, 1), np.float32)
    truth = [np.array([0, 1])]
    assert recall(base, query, truth, [[0, 1]], Metric.L2) == 1.0
    assert recall(base, query, truth, [[0, 2]], Metric.L2) == 1.0
    assert recall(base, query, truth, [[0, 3]], Metric.L2) == 0.5
    assert recall(base, query, truth, [[]], Metric.L2) == 0.0
    assert recall(base, query, [np.array([], np.int64)], [[]], Metric.L2) == 1.0


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def hdf5(path: Path, distance: str | None, **sets: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in sets.items():
            file[name] = array
        if distance is not None:
            file.attrs["distance"] = distance
    return path


def test_npy_of_any_numbers_becomes_float32(tmp_path: Path) -> None:
    base = np.arange(12, dtype=np.uint8).reshape(4, 3)
    read = read_vector_set(saved(tmp_path / "a.npy", base), saved(tmp_path / "b.npy", base[:2] / 2), Metric.L2)
    assert (read.base.dtype, read.queries.dtype, read.dimension, read.neighbors) == (np.float32, np.float32, 3, None)
    np.testing.assert_array_equal(read.base, base)


def test_bits_are_packed_once(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).random((5, 16)) < 0.5
    loose = read_vector_set(saved(tmp_path / "a.npy", bits), saved(tmp_path / "q.npy", bits[:1]), Metric.HAMMING)
    packed = read_vector_set(saved(tmp_path / "b.npy", np.packbits(bits, axis=1)), tmp_path / "q.npy", Metric.HAMMING)
    np.testing.assert_array_equal(loose.base, packed.base)
    assert (loose.dimension, packed.dimension, loose.base.shape) == (16, 16, (5, 2))


@pytest.mark.parametrize(
    ("distance", "metric"),
    [("angular", Metric.COSINE), ("euclidean", Metric.L2), ("dot", Metric.INNER_PRODUCT), ("hamming", Metric.HAMMING)],
)
def test_hdf5_says_how_it_is_compared(tmp_path: Path, distance: str, metric: Metric) -> None:
    draw = np.random.default_rng(1)
    train = draw.random((6, 8)) < 0.5 if metric is Metric.HAMMING else draw.normal(size=(6, 8))
    neighbors = np.array([[0, 3]], np.int32)
    path = hdf5(tmp_path / "a.hdf5", distance, train=train, test=train[:1], neighbors=neighbors)
    read = read_vector_set(path, None, None)
    assert read.metric is metric
    assert read.neighbors is not None
    assert read.neighbors.tolist() == [[0, 3]]
    other = Metric.HAMMING if metric is Metric.HAMMING else Metric.INNER_PRODUCT
    assert read_vector_set(path, None, other).neighbors is None


GOOD = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("base", "queries", "metric", "words"),
    [
        (GOOD, GOOD[:2, :2], None, ("a.npy has 4 columns", "2")),
        (GOOD[0], GOOD, None, ("a.npy", "shape [4]", "[rows, dimension]")),
        (GOOD[:0], GOOD, None, ("a.npy", "at least one row")),
        (np.where(GOOD == 1, np.nan, 0.5), GOOD, None, ("row 0 of", "a.npy", "NaN")),
        (GOOD, np.full((1, 4), np.inf), None, ("row 0 of", "b.npy", "infinite")),
        (np.vstack([GOOD, np.zeros((1, 4))]), GOOD, Metric.COSINE, ("row 4 of", "zero")),
        (GOOD.astype(complex), GOOD, None, ("complex128", "numbers")),
        (GOOD, GOOD, Metric.HAMMING, ("float32", "bool")),
        (GOOD > 0, GOOD > 0, Metric.HAMMING, ("4 bits", "multiple of 8")),
        (GOOD > 0, GOOD, Metric.L2, ("holds bool", "--metric hamming")),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, base: np.ndarray, queries: np.ndarray, metric: Metric | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read_vector_set(saved(tmp_path / "a.npy", base), saved(tmp_path / "b.npy", queries), metric)
    assert all(word in refused.value.message for word in words), refused.value.message


@pytest.mark.parametrize(
    ("distance", "sets", "words"),
    [
        ("euclidean", {"test": GOOD}, ("a.hdf5", "no data set train")),
        ("euclidean", {"train": GOOD, "test": GOOD[:, :3]}, ("`train`", "4 columns")),
        ("jaccard", {"train": GOOD, "test": GOOD}, ("'jaccard'", "--metric")),
        (None, {"train": GOOD, "test": GOOD}, ("does not say its distance", "--metric")),
        ("euclidean", {"train": GOOD, "test": GOOD, "neighbors": np.zeros((3, 2), int)}, ("`neighbors`", "4 queries")),
        ("euclidean", {"train": GOOD, "test": GOOD, "neighbors": np.full((4, 2), 4)}, ("`neighbors`", "other vectors")),
    ],
)
def test_what_hdf5_lacks_is_named(
    tmp_path: Path, distance: str | None, sets: dict[str, np.ndarray], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read_vector_set(hdf5(tmp_path / "a.hdf5", distance, **sets), None, None)
    assert all(word in refused.value.message for word in words), refused.value.message


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    text = tmp_path / "a.npy"
    text.write_text("no vectors")
    h5 = tmp_path / "a.h5"
    h5.write_text("no vectors")
    good = saved(tmp_path / "good.npy", GOOD)
    cases: list[tuple[Path, Path | None, str]] = [
        (text, good, "no NPY file"),
        (good, None, "--queries"),
        (h5, None, "no HDF5 file"),
        (h5, good, "leave --queries out"),
    ]
    for path, queries, word in cases:
        with pytest.raises(InvalidArgumentError, match=word):
            read_vector_set(path, queries, None)
    with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
        read_vector_set(tmp_path / "missing.h5", None, None)


def test_hdf5_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(__import__("sys").modules, "h5py", missing)
    with pytest.raises(InvalidArgumentError, match=r"picoseek\[bench\]"):
        read_vector_set(tmp_path / "a.hdf5", None, None)
