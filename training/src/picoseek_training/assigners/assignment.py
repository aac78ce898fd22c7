"""What an assigner of padded batches takes and returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PaddedTruth:
    """Ground truth of a batch, padded to the same number of boxes."""

    boxes: NDArray[np.float32]
    """[N, n, 4] x1, y1, x2, y2 in input pixels."""
    labels: NDArray[np.int64]
    """[N, n]."""
    valid: NDArray[np.bool_]
    """[N, n]; False marks padding."""


@dataclass(frozen=True)
class Assignment:
    """Targets of every cell of a batch."""

    labels: NDArray[np.int64]
    """[N, L] class, or the number of classes for background."""
    boxes: NDArray[np.float32]
    """[N, L, 4] x1, y1, x2, y2 in input pixels; meaningless for background."""
    scores: NDArray[np.float32]
    """[N, L, num_classes] targets of the classification."""


def resolve_conflicts(positive: NDArray[np.bool_], overlaps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Give every cell that several boxes claim to the box that overlaps it most.

    Args:
        positive: [N, n, L] claims.
        overlaps: [N, n, L] IoU of all boxes with each cell's anchor or prediction.
    """
    best = np.zeros_like(positive)
    np.put_along_axis(best, overlaps.argmax(axis=1)[:, None], True, axis=1)
    contested = positive.sum(axis=1, keepdims=True) > 1
    return np.where(contested, best, positive)


def gather_targets(
    truth: PaddedTruth, positive: NDArray[np.bool_], quality: NDArray[np.float32], num_classes: int
) -> Assignment:
    """Read each cell's targets off the final claims.

    Args:
        truth: Ground truth.
        positive: [N, n, L] claims, at most one a cell.
        quality: [N, L] score of a positive cell at its class.
        num_classes: Also the label of the background.
    """
    claimed = positive.any(axis=1)
    owner = positive.argmax(axis=1)
    labels = np.where(claimed, np.take_along_axis(truth.labels, owner, axis=1), num_classes)
    boxes = np.take_along_axis(truth.boxes, owner[..., None], axis=1)
    one_hot = labels[..., None] == np.arange(num_classes)
    return Assignment(labels, boxes, (one_hot * quality[..., None]).astype(np.float32))


def all_background(pictures: int, cells: int, num_classes: int) -> Assignment:
    """Targets of a batch without any box."""
    return Assignment(
        np.full((pictures, cells), num_classes, np.int64),
        np.zeros((pictures, cells, 4), np.float32),
        np.zeros((pictures, cells, num_classes), np.float32),
    )
