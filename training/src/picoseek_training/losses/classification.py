"""Cross entropy with hard, smoothed or soft targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paddle import Tensor
from paddle.nn import functional as F

Reduction = Literal["none", "mean", "sum"]


def reduce_examples(loss: Tensor, reduction: Reduction) -> Tensor:
    """Reduce the losses of the examples [n] to a scalar, or return them."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


@dataclass(frozen=True)
class CELoss:
    """Cross entropy of logits with class labels or with a teacher's logits."""

    epsilon: float | None = None
    """Label smoothing: the target is (1 - epsilon) * one-hot + epsilon / classes."""
    reduction: Reduction = "mean"

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits [n, C] with labels [n] or [n, 1], or with a teacher's logits [n, C]."""
        classes = logits.shape[1]
        if target.shape[-1] == classes and target.ndim == 2 and classes > 1:
            soft = F.softmax(target, axis=1)
        else:
            soft = F.one_hot(target.flatten(), classes)
        if self.epsilon is not None:
            soft = (1.0 - self.epsilon) * soft + self.epsilon / classes
        return reduce_examples(-(soft * F.log_softmax(logits, axis=1)).sum(axis=1), self.reduction)
