"""Losses that teach features to become bits: DSHSD, LCDSH and DCH."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import Tensor
from paddle.nn import functional as F


def _same_label(label: Tensor) -> Tensor:
    """[n, n] 1.0 where two labels agree."""
    label = label.flatten()
    return (label.unsqueeze(1) == label.unsqueeze(0)).astype("float32")


@dataclass(frozen=True)
class DSHSDLoss:
    """Deep supervised hashing based on stable distribution (IEEE Access 2019): classification plus distance margin."""

    alpha: float = 0.05
    """Weight of the distance part."""
    multi_label: bool = False
    """Classify each class by itself, with a sigmoid."""

    def __call__(self, features: Tensor, logits: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, bits] and logits [n, C] with labels [n, 1], or several labels [n, C]."""
        squares = features.square().sum(axis=1)
        inner = features @ features.t()
        distance = squares.unsqueeze(1) + squares.unsqueeze(0) - 2.0 * inner
        hot = F.one_hot(label.flatten(), logits.shape[1]) if label.shape[-1] == 1 else label.astype(logits.dtype)
        same = (hot @ hot.t() > 0).astype(logits.dtype)
        margin = F.relu(2.0 * features.shape[1] - distance)
        pairs = (same * distance + (1.0 - same) * margin).mean() / 2.0
        if self.multi_label:
            classes = (logits - hot * logits + F.softplus(-logits)).sum(axis=1).mean()
        else:
            classes = F.cross_entropy(logits, label.flatten())
        return classes + self.alpha * pairs


@dataclass(frozen=True)
class LCDSHLoss:
    """Locality-constrained deep supervised hashing (PLOS ONE 2018)."""

    quantisation_weight: float = 3.0
    """Weight of the difference between real and binary similarity."""

    def __call__(self, features: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, bits] with labels [n] or [n, 1]."""
        sign = 2.0 * _same_label(label) - 1.0
        similarity = (features @ features.t() / 2.0).clip(-50.0, 50.0)
        bits = paddle.sign(features)
        binary = bits @ bits.t() / 2.0
        likelihood = paddle.log(1.0 + paddle.exp(-sign * similarity)).mean()
        quantisation = (F.sigmoid(similarity) - F.sigmoid(binary)).square().mean()
        return likelihood + self.quantisation_weight * quantisation


@dataclass(frozen=True)
class DCHLoss:
    """Deep Cauchy hashing (CVPR 2018)."""

    gamma: float = 20.0
    """Scale of the Cauchy distribution, in bits."""
    quantisation_weight: float = 0.1

    def __call__(self, features: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, bits] with labels [n] or [n, 1]."""
        same = _same_label(label)
        pairs, positives = same.size, float(same.sum().numpy())
        weight = paddle.ones_like(same)
        if 0 < positives < pairs:
            weight = same * pairs / positives + (1.0 - same) * pairs / (pairs - positives)
        distance = self._distance(features, features)
        likelihood = same * paddle.log(distance / self.gamma) + paddle.log(1.0 + self.gamma / distance)
        corner = paddle.ones([1, features.shape[1]])
        quantisation = paddle.log(1.0 + self._distance(features.abs(), corner) / self.gamma)
        return (weight * likelihood).mean() + self.quantisation_weight * quantisation.mean()

    @staticmethod
    def _distance(first: Tensor, second: Tensor) -> Tensor:
        """Continuous Hamming distance [n, m]."""
        inner = first @ second.t()
        norms = first.norm(axis=1).unsqueeze(1) * second.norm(axis=1).unsqueeze(0)
        cosine = (inner / norms.clip(min=1e-4)).clip(max=0.99)
        distance: Tensor = (1.0 - cosine) * (first.shape[1] / 2.0)
        return distance
