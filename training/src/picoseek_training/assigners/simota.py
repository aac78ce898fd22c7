"""SimOTA, the simplified optimal-transport assignment (YOLOX, arXiv:2107.08430) as PicoDet uses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.assigners.geometry import pairwise_iou_and_giou, points_inside

FORBIDDEN = 1e8
"""Cost of a cell outside a box or far from its centre."""


@dataclass(frozen=True)
class PictureAssignment:
    """Targets of the cells of one picture."""

    positives: int
    """Number of cells with a box."""
    labels: NDArray[np.int64]
    """[L] class, or the number of classes for background."""
    boxes: NDArray[np.float32]
    """[L, 4] x1, y1, x2, y2 in input pixels; zeros for background."""


@dataclass(frozen=True)
class SimOtaAssigner:
    """Each box takes as many of its cheapest cells as its best predictions overlap it."""

    num_classes: int = 80
    center_radius: float = 2.5
    """Half side, in strides, of the square around a box's centre in which cells are candidates."""
    candidate_topk: int = 10
    """Best overlaps of a box that decide how many cells it takes."""
    iou_weight: float = 3.0
    """Weight of the box cost 1 - GIoU."""
    cls_weight: float = 1.0
    """Weight of the classification cost."""

    def __call__(
        self,
        probabilities: NDArray[np.float32],
        points: NDArray[np.float32],
        strides: NDArray[np.float32],
        predictions: NDArray[np.float32],
        boxes: NDArray[np.float32],
        labels: NDArray[np.int64],
    ) -> PictureAssignment:
        """Assign one picture.

        Args:
            probabilities: [L, num_classes].
            points: [L, 2] cell centres in input pixels.
            strides: [L, 1] input pixels.
            predictions: [L, 4] predicted boxes in input pixels.
            boxes: [n, 4] ground truth.
            labels: [n] ground truth.
        """
        cells = len(points)
        result = PictureAssignment(0, np.full(cells, self.num_classes, np.int64), np.zeros((cells, 4), np.float32))
        if len(boxes) == 0:
            return result
        inside = points_inside(points, boxes, eps=0.0).T
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        offsets = np.abs(points[:, None] - centers[None])
        central = (offsets < self.center_radius * strides[:, None]).all(axis=-1)
        candidates = np.flatnonzero((inside | central).any(axis=1))
        if len(candidates) == 0:
            return result

        iou, giou = pairwise_iou_and_giou(predictions[candidates], boxes)
        cost = (
            self.cls_weight * self._class_cost(probabilities[candidates], iou, labels)
            + self.iou_weight * (1.0 - giou)
            + FORBIDDEN * ~(inside & central)[candidates]
        )
        owner = self._match(cost, iou)
        positive = owner >= 0
        result.labels[candidates[positive]] = labels[owner[positive]]
        result.boxes[candidates[positive]] = boxes[owner[positive]]
        return PictureAssignment(int(positive.sum()), result.labels, result.boxes)

    def _class_cost(
        self, probabilities: NDArray[np.float32], iou: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """[m, n] varifocal loss of each cell's probabilities, had it to answer for each box."""
        target = iou[..., None] * (labels[:, None] == np.arange(self.num_classes))
        p = np.clip(probabilities, 1e-12, 1.0 - 1e-7)[:, None]
        entropy = -(target * np.log(p) + (1.0 - target) * np.log1p(-p))
        focal = np.where(target > 0, target, 0.75 * np.square(np.abs(p - target)))
        cost: NDArray[np.float32] = (entropy * focal).sum(axis=-1)
        return cost

    def _match(self, cost: NDArray[np.float32], iou: NDArray[np.float32]) -> NDArray[np.int64]:
        """[m] box of each candidate cell, or -1."""
        best = -np.sort(-iou, axis=0)[: self.candidate_topk]
        takes = np.maximum(best.sum(axis=0).astype(np.int64), 1)
        claims = np.zeros(cost.shape, bool)
        for box, count in enumerate(takes):
            claims[np.argsort(cost[:, box], kind="stable")[:count], box] = True
        contested = claims.sum(axis=1) > 1
        claims[contested] = np.arange(cost.shape[1]) == cost[contested].argmin(axis=1)[:, None]
        return np.where(claims.any(axis=1), claims.argmax(axis=1), -1)
