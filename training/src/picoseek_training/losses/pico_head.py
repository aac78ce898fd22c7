"""Losses of PicoDet's heads: classification, box and distance distribution, with their assigners."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from picoseek_training.losses.cell_memory import CellMemory, CellMemoryLoss
from picoseek_training.losses.detection import DistributionFocalLoss, GIoULoss, VarifocalLoss
from picoseek_training.networks.picodet.decode import Priors, distances_to_boxes, expected_distances
from picoseek_training.parallel.processes import ONE_PROCESS, Processes

ANCHOR_SCALE = 5.0
"""Side of ATSS's anchors, in strides."""
LAST_BIN_MARGIN = 0.1
"""Distance targets end this far below the last bin."""
_KEPT_SHARE = 0.5
"""Weight of a score that is to be kept in the sum that divides."""


@dataclass(frozen=True)
class DetectionLoss:
    """The three parts of a detector's loss, weighted."""

    classification: Tensor
    box: Tensor
    distribution: Tensor
    positives: NDArray[np.float32]
    """[N, L] weights of the cells that have a box, 0 elsewhere."""

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.classification + self.box + self.distribution


def _at_least_one(total: float, processes: Processes) -> float:
    """The mean over the processes of a sum, whose total is at least 1."""
    return max(processes.mean(total), 1.0 / processes.count)


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
    With a memory, half the scores that are to be kept count in it.
    """

    num_classes: int = 80
    reg_max: int = 7
    classification_weight: float = 1.0
    box_weight: float = 2.5
    distribution_weight: float = 0.5
    memory_loss: CellMemoryLoss = field(default_factory=CellMemoryLoss)
    processes: Processes = ONE_PROCESS
    """Those over which the sum of the assigned scores is taken."""

    def __call__(
        self,
        probabilities: Tensor,
        distributions: Tensor,
        priors: Priors,
        truth: PaddedTruth,
        assigner: Literal["atss", "task_aligned"],
        ignored: NDArray[np.bool_] | None = None,
        memory: CellMemory | None = None,
    ) -> DetectionLoss:
        """Compute the loss of a batch.

        Args:
            probabilities: [N, L, num_classes].
            distributions: [N, L, 4 * (reg_max + 1)] logits.
            priors: The cells.
            truth: Ground truth in input pixels.
            assigner: ATSS for the first epochs, task-aligned afterwards.
            ignored: [N, L] cells that are no negatives, whatever they answer.
            memory: What a detector of one class shall not forget.
        """
        assignment = self._assign(probabilities, distributions, priors, truth, assigner)
        positive = assignment.labels != self.num_classes
        total = float(assignment.scores.sum())
        kept_scores: Tensor | float = 0.0
        kept_distances: Tensor | float = 0.0
        if memory is not None:
            kept = memory.kept & ~positive if ignored is None else memory.kept & ~positive & ~ignored
            total += _KEPT_SHARE * float(memory.scores[kept].sum())
            kept_scores, kept_distances = self.memory_loss(
                probabilities[..., 0], distributions, memory, kept, self.reg_max + 1
            )
            left_out = memory.kept | memory.ignored
            ignored = left_out if ignored is None else ignored | left_out
        normaliser = _at_least_one(total, self.processes)
        weight = None
        quality_of_cells = np.where(positive, assignment.scores.max(axis=2), np.float32(0))
        if ignored is not None:
            weight = paddle.to_tensor((positive | ~ignored).astype(np.float32).reshape(-1))
        classification = VarifocalLoss(use_sigmoid=False, loss_weight=self.classification_weight)(
            probabilities.reshape([-1, self.num_classes]),
            paddle.to_tensor(assignment.scores.reshape(-1, self.num_classes)),
            weight,
            avg_factor=normaliser,
        )
        classification = classification + kept_scores / normaliser
        if not positive.any():
            zero = distributions.sum() * 0.0
            return DetectionLoss(classification, zero, zero + kept_distances / normaliser, quality_of_cells)

        cells = _positives(distributions, priors, positive, assignment.boxes, self.reg_max)
        quality = paddle.to_tensor(assignment.scores[positive].max(axis=1))
        box = GIoULoss(self.box_weight, reduction="sum")(cells.predicted, cells.target, quality.unsqueeze(1))
        distribution = DistributionFocalLoss(self.distribution_weight)(
            cells.distributions, cells.distances, quality.repeat_interleave(4), avg_factor=4.0
        )
        distribution = distribution + kept_distances
        return DetectionLoss(classification, box / normaliser, distribution / normaliser, quality_of_cells)

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
    processes: Processes = ONE_PROCESS
    """Those over which positives are counted and their weights summed."""

    def __call__(
        self,
        logits: Tensor,
        distributions: Tensor,
        priors: Priors,
        truth: PaddedTruth,
        ignored: NDArray[np.bool_] | None = None,
    ) -> DetectionLoss:
        """Compute the loss of a batch.

        Args:
            logits: [N, L, num_classes].
            distributions: [N, L, 4 * (reg_max + 1)] logits.
            priors: The cells.
            truth: Ground truth in input pixels.
            ignored: [N, L] cells that are no negatives, whatever they answer.
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
        counted = None
        if ignored is not None:
            counted = paddle.to_tensor((positive | ~ignored).astype(np.float32).reshape(-1, 1))
        target = (labels[..., None] == np.arange(self.num_classes)) * overlap[..., None]
        classification = VarifocalLoss(loss_weight=self.classification_weight)(
            logits.reshape([-1, self.num_classes]),
            paddle.to_tensor(target.reshape(-1, self.num_classes).astype(np.float32)),
            counted,
            avg_factor=_at_least_one(float(positives), self.processes),
        )
        score_of_cells = np.where(positive, probabilities.max(axis=2), np.float32(0))
        normaliser = _at_least_one(float(score_of_cells.sum()), self.processes)
        if cells is None:
            zero = distributions.sum() * 0.0
            return DetectionLoss(classification, zero, zero, score_of_cells)

        weight = paddle.to_tensor(score_of_cells[positive])
        box = GIoULoss(self.box_weight, reduction="sum")(cells.predicted, cells.target, weight.unsqueeze(1))
        distribution = DistributionFocalLoss(self.distribution_weight)(
            cells.distributions, cells.distances, weight.repeat_interleave(4), avg_factor=4.0
        )
        return DetectionLoss(classification, box / normaliser, distribution / normaliser, score_of_cells)


def _aligned_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU [p] of boxes [p, 4] pair by pair."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    intersection = np.maximum(sides, 0.0).prod(axis=1)
    areas = (first[:, 2:] - first[:, :2]).prod(axis=1) + (second[:, 2:] - second[:, :2]).prod(axis=1)
    iou: NDArray[np.float32] = intersection / np.maximum(areas - intersection, 1e-6)
    return iou
