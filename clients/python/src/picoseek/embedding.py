"""Vectors and the spaces in which they may be compared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32] | NDArray[np.uint8]
"""[dimension] float32, or [dimension / 8] uint8 of packed bits, first component in the most significant bit."""


class VectorType(Enum):
    """Layout of a vector's components."""

    FLOAT32 = "float32"
    """Numbers."""
    BITS = "bits"
    """One bit a component, eight a byte."""


class Metric(Enum):
    """How two vectors are compared."""

    INNER_PRODUCT = "inner_product"
    """Dot product; larger is closer."""
    COSINE = "cosine"
    """Dot product of the L2-normalised vectors, -1 to 1; larger is closer."""
    L2 = "l2"
    """Squared Euclidean distance; smaller is closer."""
    HAMMING = "hamming"
    """Number of bits that differ; smaller is closer."""

    @property
    def larger_is_closer(self) -> bool:
        """Which way the score runs."""
        return self in (Metric.INNER_PRODUCT, Metric.COSINE)


@dataclass(frozen=True)
class EmbeddingSpace:
    """Everything on which it depends whether two vectors may be compared."""

    digest: str
    """"sha256:" and 64 hex digits over weights, preprocessing, dimension, type and normalisation."""
    dimension: int
    """Number of components."""
    type: VectorType = VectorType.FLOAT32
    """Component type."""
    normalized: bool = False
    """Whether vectors have unit L2 norm."""
    metric: Metric | None = None
    """Metric for which the model was trained; None: not stated."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """One vector and its space."""

    vector: Vector
    """The vector."""
    space: str
    """EmbeddingSpace.digest."""
    dimension: int
    """Number of components."""
    type: VectorType = VectorType.FLOAT32
    """Component type."""
