"""Adaptive training sample selection (arXiv:1912.02424)."""

from __future__ import annotations

from collections.abc import Sequence
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
class AtssAssigner:
    """Positives are the nearest anchors whose IoU beats the mean plus standard deviation of all nearest ones."""

    topk: int = 9
    """Candidates of each box and level."""
    num_classes: int = 80
    force_gt_matching: bool = False
    """Also give every box the anchor that overlaps it most."""

    def __call__(
        self,
        anchors: NDArray[np.float32],
        level_sizes: Sequence[int],
        truth: PaddedTruth,
        predictions: NDArray[np.float32] | None = None,
    ) -> Assignment:
        """Assign a batch.

        Args:
            anchors: [L, 4] in input pixels, levels in order.
            level_sizes: Anchors of each level; every level needs at least `topk`.
            truth: Ground truth.
            predictions: [N, L, 4] predicted boxes in input pixels; then a positive's score is the IoU of its
                prediction, else 1.

        Raises:
            ValueError: A level has fewer anchors than candidates.
        """
        if min(level_sizes) < self.topk:
            raise ValueError(f"ATSS needs {self.topk} anchors a level, the levels have {list(level_sizes)}")
        pictures, boxes = truth.labels.shape
        if boxes == 0:
            return all_background(pictures, len(anchors), self.num_classes)

        overlaps = pairwise_iou(truth.boxes, anchors[None])
        centers = ((anchors[:, :2] + anchors[:, 2:]) / 2).astype(np.float32)
        candidates = self._nearest(centers, level_sizes, truth.boxes) & truth.valid[..., None]
        overlapping = self._above_threshold(overlaps, candidates, truth.valid)
        positive = candidates & overlapping & points_inside(centers, truth.boxes)
        positive = resolve_conflicts(positive, overlaps)
        if self.force_gt_matching:
            best = np.zeros_like(positive)
            np.put_along_axis(best, overlaps.argmax(axis=2)[..., None], True, axis=2)
            best &= truth.valid[..., None]
            positive = np.where(best.sum(axis=1, keepdims=True) == 1, best, positive)

        if predictions is None:
            quality = np.ones(positive.shape[::2], np.float32)
        else:
            quality = (pairwise_iou(truth.boxes, predictions) * positive).max(axis=1)
        return gather_targets(truth, positive, quality, self.num_classes)

    def _nearest(
        self, centers: NDArray[np.float32], level_sizes: Sequence[int], boxes: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """[N, n, L]: the `topk` anchors of each level whose centres are nearest to each box's centre."""
        box_centers = (boxes[..., :2] + boxes[..., 2:]) / 2
        distances = np.linalg.norm(box_centers[:, :, None] - centers, axis=-1)
        levels = np.split(distances, np.cumsum(level_sizes)[:-1], axis=-1)
        return np.concatenate([top_k_mask(-level, self.topk) for level in levels], axis=-1)

    @staticmethod
    def _above_threshold(
        overlaps: NDArray[np.float32], candidates: NDArray[np.bool_], valid: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """[N, n, L]: IoU above mean + standard deviation (n - 1) of the box's candidates."""
        above = np.zeros_like(candidates)
        for picture, box in np.argwhere(valid):
            chosen = overlaps[picture, box][candidates[picture, box]]
            above[picture, box] = overlaps[picture, box] > chosen.mean() + chosen.std(ddof=1)
        return above
