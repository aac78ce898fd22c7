"""Sealed segments on disk: a cache that saves building them anew, never the only copy of anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.factory import parse_factory
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.full_vectors import FullVectors, map_rows
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

_INDEX = ".faiss"
_KEYS = ".keys"
_VECTORS = ".vectors"
_BLOCK = 1 << 20

SUFFIXES = (_KEYS, _INDEX, _VECTORS)
"""Endings of the files of a segment. The first is there once the others are complete; not every one has the last."""

Keys = NDArray[np.int64]
"""What the owner of the segment knows a row by: shape (rows, columns)."""


class IndexFileError(Exception):
    """A file is damaged, or made for something else: build the segment anew."""


def vectors_path(stem: Path) -> Path:
    """Return where the full vectors of a compressed segment are, which is before save() is called."""
    return stem.with_suffix(_VECTORS)


def save(stem: Path, segment: SealedSegment, keys: Keys) -> None:
    """Write a segment as `stem`.faiss and, once that is on disk, `stem`.keys.

    Raises:
        OSError: the disk is full or fails; whatever was written is incomplete and load() refuses it.
    """
    index_path = stem.with_suffix(_INDEX)
    full = segment.full_vectors
    try:
        if segment.index_kind.is_binary:
            faiss.write_index_binary(segment.index, str(index_path))
        else:
            faiss.write_index(segment.index, str(index_path))
    except RuntimeError as error:  # how Faiss reports a failed write
        raise OSError(str(error)) from error
    _sync(index_path)
    header = json.dumps(
        {
            "factory": segment.index_kind.factory,
            "ef_construction": segment.index_kind.ef_construction,
            "shape": keys.shape,
            "index_bytes": index_path.stat().st_size,
            "index_crc32c": _file_checksum(index_path),
            "vectors_crc32c": None if full is None else full.checksum,
        }
    ).encode()
    body = len(header).to_bytes(4, "little") + header + np.ascontiguousarray(keys, dtype="<i8").tobytes()
    temporary = stem.with_suffix(".partial")
    temporary.write_bytes(google_crc32c.value(body).to_bytes(4, "little") + body)
    _sync(temporary)
    os.replace(temporary, stem.with_suffix(_KEYS))
    _sync(stem.parent)


def load(stem: Path, dimension: int, metric: Metric) -> tuple[SealedSegment, Keys]:
    """Read what save() wrote.

    Raises:
        IndexFileError: a checksum or what it says of itself does not fit.
    """
    index_path = stem.with_suffix(_INDEX)
    full = None
    try:
        header, keys = _read_keys(stem.with_suffix(_KEYS))
        kind = parse_factory(header["factory"], header["ef_construction"])
        if kind.is_binary != metric.is_binary:
            raise _other(stem)
        if index_path.stat().st_size != header["index_bytes"] or _file_checksum(index_path) != header["index_crc32c"]:
            raise IndexFileError(f"{index_path} is damaged")
        index = _read_index(index_path, is_binary=kind.is_binary)
        if kind.is_compressed:
            full = _read_vectors(vectors_path(stem), header["vectors_crc32c"], dimension, metric)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise IndexFileError(f"{stem}: {error}") from error
    if (index.d, index.metric_type, index.ntotal) != (dimension, metric.faiss_code, len(keys)):
        raise _other(stem)
    if full is not None and len(full.rows) != len(keys):
        raise _other(stem)
    return SealedSegment(index, kind, metric, full), keys


def stems(directory: Path) -> list[Path]:
    """Return what can be given to load(), newest name first."""
    return sorted((path.with_suffix("") for path in directory.glob(f"*{_KEYS}")), reverse=True)


def move_all(source: Path, target: Path) -> None:
    """Move all segments to another directory. A call that was cut short can be repeated.

    Raises:
        OSError: the disk fails.
    """
    # Last comes what makes load() look for the others.
    for path in sorted(source.iterdir(), key=lambda path: path.suffix == _KEYS):
        os.replace(path, target / path.name)
    _sync(target)
    _sync(source)


def remove(stem: Path) -> None:
    """Remove a segment's files, if they are there."""
    for suffix in SUFFIXES:
        stem.with_suffix(suffix).unlink(missing_ok=True)


def _read_keys(path: Path) -> tuple[dict[str, Any], Keys]:
    content = path.read_bytes()
    if len(content) < 8 or int.from_bytes(content[:4], "little") != google_crc32c.value(content[4:]):
        raise IndexFileError(f"{path} is damaged")
    end = 8 + int.from_bytes(content[4:8], "little")
    header: dict[str, Any] = json.loads(content[8:end])
    return header, np.frombuffer(content, dtype="<i8", offset=end).reshape(header["shape"]).astype(np.int64)


def _read_index(path: Path, *, is_binary: bool) -> Any:
    if is_binary:
        return faiss.read_index_binary(str(path))
    # The table of an IVF-PQ would take more memory than its codes.
    return faiss.read_index(str(path), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)


def _read_vectors(path: Path, checksum: int, dimension: int, metric: Metric) -> FullVectors:
    if _file_checksum(path) != checksum:
        raise IndexFileError(f"{path} is damaged")
    return FullVectors(map_rows(path, dimension, metric), checksum)


def _other(stem: Path) -> IndexFileError:
    return IndexFileError(f"{stem} was made for another collection")


def _file_checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = google_crc32c.extend(checksum, block)
    return checksum


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
