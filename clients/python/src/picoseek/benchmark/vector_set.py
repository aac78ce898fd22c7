"""Vectors, queries and true neighbours in files: NPY, or HDF5 as ann-benchmarks writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek.embedding import Metric, Vector, VectorType
from picoseek.errors import InvalidArgumentError

HDF5_SUFFIXES = (".hdf5", ".h5")
"""Names of files in the form of ann-benchmarks end so."""

_METRICS_OF_HDF5 = {
    "angular": Metric.COSINE,
    "euclidean": Metric.L2,
    "dot": Metric.INNER_PRODUCT,
    "ip": Metric.INNER_PRODUCT,
    "hamming": Metric.HAMMING,
}
"""Metrics by the attribute `distance` of ann-benchmarks."""


@dataclass(frozen=True, eq=False)
class VectorSet:
    """What is written and what is looked up."""

    name: str
    """File name of the vectors."""
    base: Vector
    """[rows, dimension] float32, or [rows, dimension / 8] uint8 of packed bits."""
    queries: Vector
    """Likewise, [queries, …]."""
    metric: Metric
    """How they are compared."""
    neighbors: NDArray[np.int64] | None
    """[queries, neighbours] rows of `base`, nearest first, as the file states; None: it does not."""

    @property
    def type(self) -> VectorType:
        """Component type."""
        return VectorType.BITS if self.metric is Metric.HAMMING else VectorType.FLOAT32

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        columns: int = self.base.shape[1]
        return 8 * columns if self.type is VectorType.BITS else columns


def read_vector_set(path: Path, queries: Path | None, metric: Metric | None) -> VectorSet:
    """Read vectors and queries.

    Args:
        path: an NPY file of [rows, dimension], or an HDF5 file with `train`, `test` and, if it has them, `neighbors`.
        queries: an NPY file of the queries; None with HDF5, which has its own.
        metric: how they are compared; None: as the HDF5 file says, and cosine of NPY.

    Raises:
        InvalidArgumentError: a file is none of these, or its vectors cannot be used; the message says what to do.
        OSError: a file cannot be read.
    """
    if path.suffix in HDF5_SUFFIXES:
        if queries is not None:
            raise InvalidArgumentError(f"{path} has its own queries; leave --queries out")
        return _read_hdf5(path, metric)
    if queries is None:
        raise InvalidArgumentError(f"{path} has no queries; give an NPY file of them with --queries")
    chosen = metric or Metric.COSINE
    base, asked = (_usable(_read_npy(one), str(one), chosen) for one in (path, queries))
    _check_columns(base, str(path), asked, str(queries))
    return VectorSet(path.name, base, asked, chosen, None)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidArgumentError(
            f"{path} is no NPY file of numbers ({error}); write it with numpy.save, or name an HDF5 file *.hdf5"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InvalidArgumentError(f"{path} holds several arrays; save the one of the vectors with numpy.save")
    return array


def _read_hdf5(path: Path, metric: Metric | None) -> VectorSet:
    try:
        import h5py
    except ImportError as error:
        raise InvalidArgumentError("HDF5 needs the package h5py: pip install 'picoseek[bench]'") from error
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InvalidArgumentError(f"{path} is no HDF5 file: {error}") from error
    with file:
        found = {name: file.get(name) for name in ("train", "test", "neighbors")}
        arrays: dict[str, NDArray[Any]] = {
            name: found_one[()] for name, found_one in found.items() if isinstance(found_one, h5py.Dataset)
        }
        distance = file.attrs.get("distance")
    missing = [name for name in ("train", "test") if name not in arrays]
    if missing:
        raise InvalidArgumentError(
            f"{path} has no data set {' and no '.join(missing)}; ann-benchmarks' files have `train` and `test`"
        )
    chosen = metric or _stated_metric(path, distance)
    base, queries = (_usable(arrays[name], f"`{name}` of {path}", chosen) for name in ("train", "test"))
    stated = arrays.get("neighbors")
    _check_columns(base, f"`train` of {path}", queries, "`test`")
    # Neighbours by another metric are others.
    neighbors = None if metric is not None or stated is None else _checked_neighbors(stated, path, base, queries)
    return VectorSet(path.name, base, queries, chosen, neighbors)


def _stated_metric(path: Path, stated: object) -> Metric:
    word = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated or "")
    metric = _METRICS_OF_HDF5.get(word)
    if metric is None:
        said = f"says distance {word!r}, which is not known here" if word else "does not say its distance"
        raise InvalidArgumentError(
            f"{path} {said}; known are {', '.join(_METRICS_OF_HDF5)}. If one of ours is meant, give it with --metric"
        )
    return metric


def _usable(array: NDArray[Any], where: str, metric: Metric) -> Vector:
    """Return vectors as they travel."""
    if array.ndim != 2 or not array.shape[0] or not array.shape[1]:
        raise InvalidArgumentError(
            f"{where} has the shape {_shape(array)}; vectors are [rows, dimension], with at least one row"
        )
    if metric is Metric.HAMMING:
        return _bits(array, where)
    if array.dtype.kind not in "fiu":
        raise InvalidArgumentError(f"{where} holds {array.dtype}; vectors are numbers, or bits with --metric hamming")
    vectors = np.ascontiguousarray(array, np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidArgumentError(
            f"row {int(np.argmin(finite))} of {where} is not finite (NaN or infinite); leave such rows out"
        )
    if metric is Metric.COSINE:
        zero = ~vectors.any(axis=1)
        if zero.any():
            raise InvalidArgumentError(
                f"row {int(np.argmax(zero))} of {where} is zero, which has no cosine; leave such rows out"
            )
    return vectors


def _bits(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype != np.bool_:
        raise InvalidArgumentError(f"{where} holds {array.dtype}; bits are bool, or uint8 with eight of them packed")
    if array.shape[1] % 8:
        raise InvalidArgumentError(f"{where} has {array.shape[1]} bits a vector; give a multiple of 8")
    return np.packbits(array, axis=1)


def _check_columns(base: Vector, where: str, queries: Vector, where_queries: str) -> None:
    if base.shape[1] != queries.shape[1]:
        raise InvalidArgumentError(
            f"{where} has {base.shape[1]} columns and {where_queries} {queries.shape[1]}; both must be of one model"
        )


def _checked_neighbors(stated: NDArray[Any], path: Path, base: Vector, queries: Vector) -> NDArray[np.int64]:
    where = f"`neighbors` of {path}"
    if stated.ndim != 2 or len(stated) != len(queries) or stated.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"{where} holds {stated.dtype} of the shape {_shape(stated)}; "
            f"it must be whole numbers, a row for each of the {len(queries)} queries"
        )
    if stated.size and not 0 <= int(stated.min()) <= int(stated.max()) < len(base):
        raise InvalidArgumentError(f"{where} names rows that `train` does not have; it belongs to other vectors")
    return stated.astype(np.int64)


def _shape(array: NDArray[Any]) -> Sequence[int]:
    return list(array.shape)
