"""How vectors are compared."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.faiss_binding import faiss


class Metric(Enum):
    """A comparison of two vectors and the direction of its score."""

    INNER_PRODUCT = "inner_product"
    """Dot product; larger is closer."""
    COSINE = "cosine"
    """Dot product of the normalised vectors; larger is closer."""
    L2 = "l2"
    """Squared Euclidean distance; smaller is closer."""
    HAMMING = "hamming"
    """Number of bits that differ, of vectors that are packed bits; smaller is closer."""

    @property
    def larger_is_closer(self) -> bool:
        """Whether the closest row has the largest score."""
        return self in (Metric.INNER_PRODUCT, Metric.COSINE)

    @property
    def is_binary(self) -> bool:
        """Whether its vectors are packed bits."""
        return self is Metric.HAMMING

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a column of its vectors."""
        return np.dtype(np.uint8) if self.is_binary else np.dtype("<f4")

    def columns(self, dimension: int) -> int:
        """Return the columns of an array of vectors: components, or bytes of packed bits."""
        return dimension // 8 if self.is_binary else dimension

    def row_bytes(self, dimension: int) -> int:
        """Return the bytes of a vector."""
        return self.columns(dimension) * self.dtype.itemsize

    @property
    def faiss_code(self) -> int:
        """The metric by which Faiss compares prepared vectors; of binary indexes it says L2."""
        return int(faiss.METRIC_INNER_PRODUCT if self.larger_is_closer else faiss.METRIC_L2)

    def decode(self, vectors: Sequence[bytes], dimension: int) -> Vectors:
        """Return vectors as they are sent as an array, shape (vectors, columns)."""
        content = np.frombuffer(b"".join(vectors), self.dtype).reshape(-1, self.columns(dimension))
        return content if self.is_binary else content.astype(np.float32, copy=False)

    def prepare(self, vectors: Vectors) -> Vectors:
        """Return the vectors as they are indexed and searched: for cosine, scaled to unit length.

        Args:
            vectors: shape (rows, columns); if not of bits then finite, for cosine none of length 0.
        """
        if self.is_binary:
            return np.ascontiguousarray(vectors, dtype=np.uint8)
        if self is not Metric.COSINE:
            return np.ascontiguousarray(vectors, dtype=np.float32)
        # In double precision: squares of small and large floats leave the range of single precision.
        wide = vectors.astype(np.float64)
        wide /= np.sqrt(np.einsum("rd,rd->r", wide, wide))[:, np.newaxis]
        return wide.astype(np.float32)
