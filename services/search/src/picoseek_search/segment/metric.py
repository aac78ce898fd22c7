"""How vectors are compared."""

from __future__ import annotations

from enum import Enum

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

    @property
    def larger_is_closer(self) -> bool:
        """Whether the closest row has the largest score."""
        return self is not Metric.L2

    @property
    def faiss_code(self) -> int:
        """The metric by which Faiss compares prepared vectors."""
        return int(faiss.METRIC_L2 if self is Metric.L2 else faiss.METRIC_INNER_PRODUCT)

    def prepare(self, vectors: Vectors) -> Vectors:
        """Return the vectors as they are indexed and searched: for cosine, scaled to unit length.

        Args:
            vectors: shape (rows, dimension), finite, for cosine none of length 0.
        """
        if self is not Metric.COSINE:
            return np.ascontiguousarray(vectors, dtype=np.float32)
        # In double precision: squares of small and large floats leave the range of single precision.
        wide = vectors.astype(np.float64)
        wide /= np.sqrt(np.einsum("rd,rd->r", wide, wide))[:, np.newaxis]
        return wide.astype(np.float32)
