"""Task-aligned assignment (TOOD, arXiv:2108.07755)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.assigners.assignment import (
    Assignment,
    PaddedTruth,
    all_background,
    gather_targets,
    resolve_conflicts,
)
from picoseek_training.assigners.geometry import pairwise_iou, points_inside, top_k_mask


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """Positives are the cells inside a box with the best score^alpha * IoU^beta."""

    topk: int = 13
    """Positives of each box."""
    alpha: float = 1.0
    """Exponent of the class probability."""
    beta: float = 6.0
    """Exponent of the predicted box's IoU."""
    num_classes: int = 80
    eps: float = 1e-9
    """Keeps the normalisation finite."""

    def __call__(
        self,
        points: NDArray[np.float32],
        truth: PaddedTruth,
        predictions: NDArray[np.float32],
        probabilities: NDArray[np.float32],
    ) -> Assignment:
        """Assign a batch.

        Args:
            points: [L, 2] cell centres in input pixels.
            truth: Ground truth.
            predictions: [N, L, 4] predicted boxes in input pixels.
            probabilities: [N, L, num_classes].
        """
        pictures, boxes = truth.labels.shape
        if boxes == 0:
            return all_background(pictures, len(points), self.num_classes)

        overlaps = pairwise_iou(truth.boxes, predictions)
        of_label = np.take_along_axis(probabilities, truth.labels[:, None], axis=2).transpose(0, 2, 1)
        metric = of_label**self.alpha * overlaps**self.beta
        inside = points_inside(points, truth.boxes)
        positive = top_k_mask(metric * inside, self.topk) & inside & truth.valid[..., None]
        positive = resolve_conflicts(positive, overlaps)

        metric = metric * positive
        best_metric = metric.max(axis=2, keepdims=True)
        best_overlap = (overlaps * positive).max(axis=2, keepdims=True)
        quality = (metric / (best_metric + self.eps) * best_overlap).max(axis=1)
        return gather_targets(truth, positive, quality, self.num_classes)
