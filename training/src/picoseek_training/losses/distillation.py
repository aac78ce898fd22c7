"""Losses between a student and a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import paddle
from paddle import Tensor
from paddle.nn import functional as F

MASKED = -1000.0
"""Logit that takes a class out of a softmax."""


@dataclass(frozen=True)
class DMLLoss:
    """Deep mutual learning (arXiv:1706.00384): symmetric KL divergence; gradients flow to both sides."""

    act: Literal["softmax", "sigmoid"] | None = "softmax"
    """How outputs become probabilities; None takes them as they are."""
    sum_across_class_dim: bool = False
    """Sum over the classes instead of averaging; the factor C stays, as in the original."""
    eps: float = 1e-12

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        """Compare outputs [n, C] with outputs [n, C]."""
        p, q = self._probability(x), self._probability(target)
        log_ratio = paddle.log((q + self.eps) / (p + self.eps))
        divergence: Tensor = 0.5 * x.shape[-1] * (q * log_ratio - p * log_ratio)
        return divergence.sum(axis=-1).mean() if self.sum_across_class_dim else divergence.mean()

    def _probability(self, x: Tensor) -> Tensor:
        if self.act == "softmax":
            return F.softmax(x, axis=-1)
        return F.sigmoid(x) if self.act == "sigmoid" else x


@dataclass(frozen=True)
class DistanceLoss:
    """Mean elementwise distance of features."""

    mode: Literal["l1", "l2", "smooth_l1"] = "l2"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare tensors of one shape."""
        if self.mode == "l1":
            return F.l1_loss(x, y)
        return F.mse_loss(x, y) if self.mode == "l2" else F.smooth_l1_loss(x, y)


@dataclass(frozen=True)
class KLDivLoss:
    """KL divergence of softened outputs (arXiv:1503.02531), times the squared temperature."""

    temperature: float = 4.0

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare logits [n, C] with logits [n, C]."""
        log_p = F.log_softmax(student / self.temperature, axis=1)
        q = F.softmax(teacher / self.temperature, axis=1)
        loss: Tensor = F.kl_div(log_p, q, reduction="sum") * self.temperature**2 / student.shape[0]
        return loss


@dataclass(frozen=True)
class DKDLoss:
    """Decoupled knowledge distillation (arXiv:2203.08679)."""

    temperature: float = 1.0
    alpha: float = 1.0
    """Weight of the target class against all others."""
    beta: float = 1.0
    """Weight of the other classes among themselves."""

    def __call__(self, student: Tensor, teacher: Tensor, label: Tensor) -> Tensor:
        """Compare logits [n, C] with logits [n, C]; labels [n] or [n, 1]."""
        one_hot = F.one_hot(label.flatten(), student.shape[1])
        target = F.kl_div(
            paddle.log(_target_and_rest(F.softmax(student / self.temperature, axis=1), one_hot)),
            _target_and_rest(F.softmax(teacher / self.temperature, axis=1), one_hot),
            reduction="sum",
        )
        others = F.kl_div(
            F.log_softmax(student / self.temperature + MASKED * one_hot, axis=1),
            F.softmax(teacher / self.temperature + MASKED * one_hot, axis=1),
            reduction="sum",
        )
        loss: Tensor = (self.alpha * target + self.beta * others) * self.temperature**2 / student.shape[0]
        return loss


def _target_and_rest(probability: Tensor, one_hot: Tensor) -> Tensor:
    """[n, 2] probability of the target class and of all others together."""
    target = (probability * one_hot).sum(axis=1, keepdim=True)
    rest = (probability * (1.0 - one_hot)).sum(axis=1, keepdim=True)
    return paddle.concat([target, rest], axis=1)
