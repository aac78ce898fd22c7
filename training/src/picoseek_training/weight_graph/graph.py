"""A network as a file describes it, whatever the format: operators in the order in which they run, and constants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


class Kind(StrEnum):
    """The operators that carry weights, and those through which a weight may pass."""

    CONVOLUTION = "convolution"
    """Inputs: picture, kernel [out, in / groups, kh, kw], and perhaps a bias [out]."""
    NORM = "norm"
    """BatchNorm in evaluation. Inputs: picture, scale, shift, mean, variance, each of the four [C]."""
    LINEAR = "linear"
    """Matrix product. Inputs: features, matrix [in, out], and perhaps a bias [out]."""
    ADD = "add"
    """Inputs: two summands."""
    RESHAPE = "reshape"
    """Hands its first input on in another shape or type."""
    OTHER = "other"


@dataclass(frozen=True)
class Node:
    """An operator."""

    kind: Kind
    inputs: tuple[str, ...]
    """Names of tensors, in the order that its kind states."""
    output: str
    """Name of its first output."""
    name: str = ""
    """What the file calls it, for messages."""


@dataclass(frozen=True)
class Graph:
    """A file's content."""

    nodes: tuple[Node, ...]
    """In an order in which they can run."""
    constants: dict[str, Array]
    """Tensors whose values the file holds."""
    inputs: dict[str, tuple[int, ...]]
    """Shapes of what it takes; -1 where a size is left open."""
    factors: frozenset[float] = frozenset()
    """Numbers by which it multiplies whole tensors, such as 1 - p of a dropout in evaluation."""

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Height and width of the input with three channels, in pixels, if the file fixes them."""
        for shape in self.inputs.values():
            if len(shape) == 4 and shape[1] == 3 and min(shape[2:]) > 0:
                return shape[2], shape[3]
        return None
