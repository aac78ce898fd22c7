"""Losses of PicoDet's heads: classification, box and distance distribution, with their assigners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F

from picoseek_training.assigners.assignment import Assignment, PaddedTruth
from picoseek_training.assigners.atss import AtssAssigner
from picoseek_training.assigners.simota import SimOtaAssigner
from picoseek_training.assigners.task_aligned import TaskAlignedAssigner
from picoseek_training.losses.detection import DistributionFocalLoss, GIoULoss, VarifocalLoss
from picoseek_training.networks.picodet.decode import Priors, distances_to_boxes, expected_distances

ANCHOR_SCALE = 5.0
"""Side of ATSS's anchors, in strides."""
LAST_BIN_MARGIN = 0.1
"""Distance targets end this far below the last bin."""


@dataclass(frozen=True)
class DetectionLoss:
    """The three parts of a detector's loss, weighted."""

    classification: Tensor
    box: Tensor
    distribution: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.classification + self.box + self.distribution


@dataclass(frozen=True)
class _Positives:
    """Cells with a box; everything in stride units."""

    predicted: Tensor
    """[p, 4] decoded boxes."""
    target: Tensor
    """[p, 4] assigned boxes."""
    distributions: Tensor
    """[4 p, reg_max + 1] logits, side by side."""
    distances: Tensor
    """[4 p] target distances."""


def _positives(
    distributions: Tensor, priors: Priors, mask: NDArray[np.bool_], boxes: NDArray[np.float32], reg_max: int
) -> _Positives:
    """Pick the cells of `mask` [N, L]; `boxes` [N, L, 4] are in input pixels."""
    cells = np.flatnonzero(mask)
    of_cell = np.nonzero(mask)[1]
    centers = priors.centers[of_cell]
    target = boxes[mask] / priors.strides[of_cell]
    distances = np.concatenate([centers - target[:, :2], target[:, 2:] - centers], axis=1)
    distances = np.clip(distances, 0.0, reg_max - LAST_BIN_MARGIN).astype(np.float32)
    chosen = paddle.index_select(distributions.reshape([-1, distributions.shape[2]]), paddle.to_tensor(cells))
    predicted = distances_to_boxes(paddle.to_tensor(centers), expected_distances(chosen, reg_max))
    return _Positives(
        predicted,
        paddle.to_tensor(target.astype(np.float32)),
        chosen.reshape([-1, reg_max + 1]),
        paddle.to_tensor(distances.reshape(-1)),
    )


def _decode(distributions: Tensor, priors: Priors, reg_max: int) -> NDArray[np.float32]:
    """[N, L, 4] predicted boxes in input pixels, outside the gradient."""
    with paddle.no_grad():
        boxes = distances_to_boxes(
            paddle.to_tensor(priors.centers), expected_distances(distributions, reg_max)
        ) * paddle.to_tensor(priors.strides)
    decoded: NDArray[np.float32] = boxes.numpy()
    return decoded


@dataclass(frozen=True)
class PicoHeadV2Loss:
    """Loss of PicoHeadV2: varifocal on probabilities, GIoU and distribution focal weighted by the assigned scores.

    The sum of assigned scores that divides is at least 1, so that a batch without positives is no division by zero.
    """

    num_classes: int = 80
    reg_max: int = 7
    classification_weight: float = 1.0
    box_weight: float = 2.5
    distribution_weight: float = 0.5

    def __call__(
        self,
        probabilities: Tensor,
        distributions: Tensor,
        priors: Priors,
        truth: PaddedTruth,
        assigner: Literal["atss", "task_aligned"],
        ignored: NDArray[np.bool_] | None = None,
    ) -> DetectionLoss:
        """Compute the loss of a batch.

        Args:
            probabilities: [N, L, num_classes].
            distributions: [N, L, 4 * (reg_max + 1)] logits.
            priors: The cells.
            truth: Ground truth in input pixels.
            assigner: ATSS for the first epochs, task-aligned afterwards.
            ignored: [N, L] cells that are no negatives, whatever they answer.
        """
        assignment = self._assign(probabilities, distributions, priors, truth, assigner)
        positive = assignment.labels != self.num_classes
        normaliser = max(float(assignment.scores.sum()), 1.0)
        weight = None
        if ignored is not None:
            weight = paddle.to_tensor((positive | ~ignored).astype(np.float32).reshape(-1))
        classification = VarifocalLoss(use_sigmoid=False, loss_weight=self.classification_weight)(
            probabilities.reshape([-1, self.num_classes]),
            paddle.to_tensor(assignment.scores.reshape(-1, self.num_classes)),
            weight,
            avg_factor=normaliser,
        )
        if not positive.any():
            zero = distributions.sum() * 0.0
            return DetectionLoss(classification, zero, zero)

        cells = _positives(distributions, priors, positive, assignment.boxes, self.reg_max)
        quality = paddle.to_tensor(assignment.scores[positive].max(axis=1))
        box = GIoULoss(self.box_weight, reduction="sum")(cells.predicted, cells.target, quality.unsqueeze(1))
        distribution = DistributionFocalLoss(self.distribution_weight)(
            cells.distributions, cells.distances, quality.repeat_interleave(4), avg_factor=4.0
        )
        return DetectionLoss(classification, box / normaliser, distribution / normaliser)

    def _assign(
        self,
        probabilities: Tensor,
        distributions: Tensor,
        priors: Priors,
        truth: PaddedTruth,
        assigner: Literal["atss", "task_aligned"],
    ) -> Assignment:
        predicted = _decode(distributions, priors, self.reg_max)
        if assigner == "atss":
            anchors = priors.anchors(ANCHOR_SCALE)
            return AtssAssigner(num_classes=self.num_classes)(anchors, priors.level_sizes, truth, predicted)
        return TaskAlignedAssigner(num_classes=self.num_classes)(priors.points, truth, predicted, probabilities.numpy())


@dataclass(frozen=True)
class PicoHeadLoss:
    """Loss of the legacy head: SimOTA; varifocal on logits over positives, boxes weighted by the class score."""

    num_classes: int = 80
    reg_max: int = 7
    classification_weight: float = 1.0
    box_weight: float = 2.0
    distribution_weight: float = 0.25
    iou_weight: float = 6.0
    """Weight of the box cost in the assignment."""

    def __call__(self, logits: Tensor, distributions: Tensor, priors: Priors, truth: PaddedTruth) -> DetectionLoss:
        """Compute the loss of a batch.

        Args:
            logits: [N, L, num_classes].
            distributions: [N, L, 4 * (reg_max + 1)] logits.
            priors: The cells.
            truth: Ground truth in input pixels.
        """
        probabilities: NDArray[np.float32] = F.sigmoid(logits.detach()).numpy()
        predicted = _decode(distributions, priors, self.reg_max)
        assigner = SimOtaAssigner(num_classes=self.num_classes, iou_weight=self.iou_weight)
        labels = np.empty(predicted.shape[:2], np.int64)
        boxes = np.empty(predicted.shape, np.float32)
        positives = 0
        for picture, valid in enumerate(truth.valid):
            assigned = assigner(
                probabilities[picture],
                priors.points,
                priors.strides,
                predicted[picture],
                truth.boxes[picture, valid],
                truth.labels[picture, valid],
            )
            labels[picture], boxes[picture] = assigned.labels, assigned.boxes
            positives += max(assigned.positives, int(valid.any()))

        positive = labels != self.num_classes
        overlap = np.zeros(positive.shape, np.float32)
        cells = None
        if positive.any():
            cells = _positives(distributions, priors, positive, boxes, self.reg_max)
            overlap[positive] = _aligned_iou(cells.predicted.numpy(), cells.target.numpy())
        target = (labels[..., None] == np.arange(self.num_classes)) * overlap[..., None]
        classification = VarifocalLoss(loss_weight=self.classification_weight)(
            logits.reshape([-1, self.num_classes]),
            paddle.to_tensor(target.reshape(-1, self.num_classes).astype(np.float32)),
            avg_factor=float(max(positives, 1)),
        )
        if cells is None:
            zero = distributions.sum() * 0.0
            return DetectionLoss(classification, zero, zero)

        score = probabilities[positive].max(axis=1)
        normaliser = max(float(score.sum()), 1.0)
        weight = paddle.to_tensor(score)
        box = GIoULoss(self.box_weight, reduction="sum")(cells.predicted, cells.target, weight.unsqueeze(1))
        distribution = DistributionFocalLoss(self.distribution_weight)(
            cells.distributions, cells.distances, weight.repeat_interleave(4), avg_factor=4.0
        )
        return DetectionLoss(classification, box / normaliser, distribution / normaliser)


def _aligned_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU [p] of boxes [p, 4] pair by pair."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    intersection = np.maximum(sides, 0.0).prod(axis=1)
    areas = (first[:, 2:] - first[:, :2]).prod(axis=1) + (second[:, 2:] - second[:, :2]).prod(axis=1)
    iou: NDArray[np.float32] = intersection / np.maximum(areas - intersection, 1e-6)
    return iou
