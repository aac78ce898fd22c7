"""The row numbers of a snapshot, packed."""

from __future__ import annotations

import zlib

import numpy as np

from picoseek_search.storage.documents import RowNumbers


def pack_rows(rows: RowNumbers) -> bytes:
    """Return ascending row numbers as bytes: their differences, little-endian int64, deflated."""
    return zlib.compress(np.diff(rows, prepend=0).astype("<i8").tobytes(), 6)


def unpack_rows(content: bytes) -> RowNumbers:
    """Return what pack_rows() packed."""
    return np.cumsum(np.frombuffer(zlib.decompress(content), "<i8")).astype(np.int64)
