"""Heads: from features (N, dimension) to logits (N, classes), for training only."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Normal, XavierNormal


class FCHead(nn.Layer):
    """Linear classifier without bias or normalisation; labels are ignored."""

    def __init__(self, dimension: int, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(
            dimension, num_classes, weight_attr=ParamAttr(initializer=Normal(0.0, 0.001)), bias_attr=False
        )

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return self.fc(features)


class CosineHead(nn.Layer):
    """Cosines of features to one learned direction a class, -1 to 1; labels are ignored."""

    def __init__(self, dimension: int, num_classes: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([dimension, num_classes], default_initializer=XavierNormal())
        self.num_classes = num_classes

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        unit_features = features / features.square().sum(axis=1, keepdim=True).sqrt()
        unit_weight = self.weight / self.weight.square().sum(axis=0, keepdim=True).sqrt()
        return paddle.matmul(unit_features, unit_weight)


class MarginHead(CosineHead, ABC):
    """Cosines that training makes harder: the target's is moved by `margin`, then all are multiplied by `scale`.

    Labels are (N,) or (N, 1). Without them, or in evaluation, the plain cosines are returned.
    """

    def __init__(self, dimension: int, num_classes: int, margin: float, scale: float) -> None:
        super().__init__(dimension, num_classes)
        self.margin = margin
        self.scale = scale

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        cosine = super().forward(features)
        if label is None or not self.training:
            return cosine
        one_hot = F.one_hot(label.flatten(), self.num_classes)
        target, other = self.with_margin(cosine)
        return self.scale * (one_hot * target + (1.0 - one_hot) * other)

    @abstractmethod
    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        """Values for the target class and for the other classes, before scaling; both (N, classes)."""


class ArcMarginHead(MarginHead):
    """Additive angular margin (ArcFace, Deng et al. 2019): cos(angle + margin) for the target class."""

    def __init__(
        self,
        dimension: int,
        num_classes: int,
        margin: float = 0.5,
        scale: float = 80.0,
        easy_margin: bool = False,
    ) -> None:
        super().__init__(dimension, num_classes, margin, scale)
        self.easy_margin = easy_margin

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        sine = (1.0 - cosine.square() + 1e-6).sqrt()
        shifted = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        if self.easy_margin:
            return paddle.where(cosine > 0, shifted, cosine), cosine
        # Beyond pi - margin the shifted cosine would rise again: continue it with a straight line.
        linear = cosine - self.margin * math.sin(self.margin)
        return paddle.where(cosine > -math.cos(self.margin), shifted, linear), cosine


class CosMarginHead(MarginHead):
    """Additive cosine margin (CosFace, Wang et al. 2018): cos - margin for the target class."""

    def __init__(self, dimension: int, num_classes: int, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__(dimension, num_classes, margin, scale)

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        return cosine - self.margin, cosine


class CircleMarginHead(MarginHead):
    """Circle loss as class-level margin (Sun et al. 2020): each cosine is weighted by its distance from its optimum."""

    def __init__(self, dimension: int, num_classes: int, margin: float = 0.25, scale: float = 256.0) -> None:
        super().__init__(dimension, num_classes, margin, scale)

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        fixed = cosine.detach()
        pull = F.relu(1.0 + self.margin - fixed)
        push = F.relu(fixed + self.margin)
        return pull * (cosine - (1.0 - self.margin)), push * (cosine - self.margin)
