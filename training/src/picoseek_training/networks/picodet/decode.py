"""From PicoDet's raw maps to boxes: priors, expected side distances, boxes in input pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F

CELL_OFFSET = 0.5
"""Where in its cell a prior's centre lies, in cells."""


@dataclass(frozen=True)
class Priors:
    """Centres and strides of all cells of a pyramid; levels in order, row-major within a level."""

    centers: NDArray[np.float32]
    """[L, 2] x and y in stride units of the cell's own level."""
    strides: NDArray[np.float32]
    """[L, 1] pixels of the network input."""
    level_sizes: tuple[int, ...]
    """Number of cells of each level; their sum is L."""

    @property
    def points(self) -> NDArray[np.float32]:
        """[L, 2] centres in pixels of the network input."""
        return self.centers * self.strides

    def anchors(self, cell_scale: float) -> NDArray[np.float32]:
        """[L, 4] squares x1, y1, x2, y2 around the centres, `cell_scale` strides wide, in input pixels."""
        half = 0.5 * cell_scale * self.strides
        return np.concatenate([self.points - half, self.points + half], axis=1).astype(np.float32)


def make_priors(map_sizes: Sequence[tuple[int, int]], strides: Sequence[int]) -> Priors:
    """Lay the priors of maps with the given (height, width) and strides."""
    centers: list[NDArray[np.float32]] = []
    cell_strides: list[NDArray[np.float32]] = []
    for (height, width), stride in zip(map_sizes, strides, strict=True):
        rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        level = np.stack([columns.ravel(), rows.ravel()], axis=1) + CELL_OFFSET
        centers.append(level.astype(np.float32))
        cell_strides.append(np.full((height * width, 1), stride, np.float32))
    return Priors(np.concatenate(centers), np.concatenate(cell_strides), tuple(len(level) for level in centers))


def expected_distances(distributions: Tensor, reg_max: int) -> Tensor:
    """Mean of each side's discrete distribution (Generalized Focal Loss, section 3).

    Args:
        distributions: [..., 4 * (reg_max + 1)] logits, side-major: left, top, right, bottom.
        reg_max: Largest bin, in strides.

    Returns:
        [..., 4] distances in stride units.
    """
    bins = reg_max + 1
    leading = distributions.shape[:-1]
    flat = F.softmax(distributions.reshape([-1, bins]), axis=1)
    means = flat @ paddle.arange(bins, dtype=distributions.dtype)
    return means.reshape([-1, *leading[1:], 4])


def distances_to_boxes(centers: Tensor, distances: Tensor) -> Tensor:
    """Boxes x1, y1, x2, y2 [..., 4] from centres [..., 2] and left, top, right, bottom distances [..., 4]."""
    low, high = distances[..., :2], distances[..., 2:]
    return paddle.concat([centers - low, centers + high], axis=-1)
