"""Losses of dense detectors: varifocal, quality focal, distribution focal and generalised IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import paddle
from paddle import Tensor
from paddle.nn import functional as F

Reduction = Literal["none", "mean", "sum"]


def reduce_loss(
    loss: Tensor, weight: Tensor | None = None, avg_factor: float | Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Weigh a loss elementwise and reduce it; with `avg_factor` a mean divides the sum by it.

    Raises:
        ValueError: `avg_factor` comes with the reduction "sum".
    """
    if weight is not None:
        loss = loss * weight
    if avg_factor is not None and reduction == "sum":
        raise ValueError("avg_factor goes with the reductions mean and none")
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if avg_factor is None else loss.sum() / avg_factor


@dataclass(frozen=True)
class VarifocalLoss:
    """Varifocal loss (arXiv:2008.13367): targets are IoUs at the positives' class, 0 elsewhere."""

    alpha: float = 0.75
    """Weight of negatives."""
    gamma: float = 2.0
    """Exponent by which well-classified negatives fade."""
    iou_weighted: bool = True
    """Weigh positives by their target; otherwise by 1."""
    use_sigmoid: bool = True
    """Predictions are logits; otherwise probabilities, and classes are summed."""
    loss_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """Compare predictions [n, C] with targets [n, C]."""
        probability = F.sigmoid(pred) if self.use_sigmoid else pred
        positive = (target > 0).astype(pred.dtype)
        positive_weight = target if self.iou_weighted else positive
        negative_weight = self.alpha * (probability - target).abs().pow(self.gamma) * (1.0 - positive)
        focal = positive_weight * positive + negative_weight
        entropy = F.binary_cross_entropy_with_logits if self.use_sigmoid else F.binary_cross_entropy
        loss = entropy(pred, target, reduction="none") * focal
        if not self.use_sigmoid:
            loss = loss.sum(axis=1)
        return self.loss_weight * reduce_loss(loss, weight, avg_factor, self.reduction)


@dataclass(frozen=True)
class QualityFocalLoss:
    """Quality focal loss (arXiv:2006.04388): the target is the box's quality at its label, 0 elsewhere."""

    beta: float = 2.0
    """Exponent by which good predictions fade."""
    loss_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        pred: Tensor,
        label: Tensor,
        score: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """Compare logits [n, C] with labels [n] (C is background) and qualities [n]."""
        classes = pred.shape[1]
        target = F.one_hot(label, classes + 1)[:, :classes] * score.unsqueeze(1)
        modulation = (F.sigmoid(pred) - target).abs().pow(self.beta)
        loss = F.binary_cross_entropy_with_logits(pred, target, reduction="none") * modulation
        return self.loss_weight * reduce_loss(loss.sum(axis=1), weight, avg_factor, self.reduction)


@dataclass(frozen=True)
class DistributionFocalLoss:
    """Distribution focal loss (arXiv:2006.04388): cross entropy with the two bins beside the true distance."""

    loss_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """Compare logits [n, bins] with distances [n] in [0, bins - 1)."""
        left = target.floor()
        to_right = target - left
        log_probability = F.log_softmax(pred, axis=1)
        bins = left.astype("int64").unsqueeze(1)
        loss = -(
            paddle.take_along_axis(log_probability, bins, axis=1).squeeze(1) * (1.0 - to_right)
            + paddle.take_along_axis(log_probability, bins + 1, axis=1).squeeze(1) * to_right
        )
        return self.loss_weight * reduce_loss(loss, weight, avg_factor, self.reduction)


@dataclass(frozen=True)
class GIoULoss:
    """Generalised IoU loss (arXiv:1902.09630)."""

    loss_weight: float = 1.0
    eps: float = 1e-10
    """Added to both areas that divide."""
    reduction: Reduction = "none"

    def __call__(self, pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare boxes [n, 4] x1, y1, x2, y2; without reduction the loss is [n, 1]."""
        corners = paddle.stack([pred, target])
        lowest, highest = corners.min(axis=0), corners.max(axis=0)
        intersection = _area(highest[:, :2], lowest[:, 2:])
        enclosing = _area(lowest[:, :2], highest[:, 2:])
        union = _area(pred[:, :2], pred[:, 2:]) + _area(target[:, :2], target[:, 2:]) - intersection + self.eps
        enclosing = enclosing + self.eps
        giou = intersection / union - (enclosing - union) / enclosing
        return self.loss_weight * reduce_loss(1.0 - giou, weight, reduction=self.reduction)


def _area(low: Tensor, high: Tensor) -> Tensor:
    """[n, 1] area between two corners; 0 where they are out of order."""
    sides = F.relu(high - low)
    return sides[:, :1] * sides[:, 1:]
