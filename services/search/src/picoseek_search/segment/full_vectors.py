"""The vectors of a segment in full, in a file that is mapped: the operating system keeps in memory what is in use."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.metric import Metric


@dataclass(frozen=True, eq=False)
class FullVectors:
    """Prepared vectors in a mapped file. They stay readable when the file is removed."""

    rows: Vectors
    """Shape (rows, columns), cannot be written to."""
    checksum: int
    """CRC-32C of the file as it was written."""


def write(path: Path, blocks: Iterable[Vectors], dimension: int, metric: Metric) -> FullVectors:
    """Write prepared vectors, block after block, and map them; at least one row.

    Raises:
        OSError: the disk is full or fails; the file is gone again.
    """
    checksum = 0
    try:
        with path.open("wb") as file:
            for block in blocks:
                content = np.ascontiguousarray(block, metric.dtype).data
                checksum = google_crc32c.extend(checksum, bytes(content))
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return FullVectors(map_rows(path, dimension, metric), checksum)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def map_rows(path: Path, dimension: int, metric: Metric) -> Vectors:
    """Map a file of prepared vectors, shape (rows, columns).

    Raises:
        OSError: it cannot be read.
        ValueError: it is empty, or ends within a row.
    """
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return np.frombuffer(content, metric.dtype).reshape(-1, metric.columns(dimension))
