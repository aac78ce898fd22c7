"""Recognition models: a backbone, a neck that makes the embedding, and a head that exists for training only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant, Normal, XavierNormal


@dataclass(frozen=True)
class RecognitionOutput:
    """Everything that losses look at; N pictures."""

    backbone: Tensor
    """Flattened output of the backbone (N, backbone channels)."""
    features: Tensor
    """The embedding, not normalised (N, dimension)."""
    logits: Tensor | None
    """Output of the head (N, classes); None without a head."""


class BNNeck(nn.Layer):
    """BatchNorm over features (N, dimension) with a frozen zero shift (Luo et al. 2019): the embedding of ShiTu V2."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        # The published recipe keeps the shift as a stored parameter that training does not move.
        self.feat_bn = nn.BatchNorm1D(
            dimension,
            weight_attr=ParamAttr(initializer=Constant(1.0)),
            bias_attr=ParamAttr(initializer=Constant(0.0), learning_rate=1e-20),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.feat_bn(x)


class FCNeck(nn.Layer):
    """Linear projection of the backbone's features: the embedding of ShiTu V1."""

    def __init__(self, in_channels: int, dimension: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, dimension, weight_attr=ParamAttr(initializer=XavierNormal()))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


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
    """Cosine of features (N, dimension) to one learned direction a class; the margin heads build on it.

    Without a label, or in evaluation, a head returns the plain cosines (N, classes). In training it moves the cosine of
    the target class by its margin and multiplies all of them by `scale`.
    """

    def __init__(self, dimension: int, num_classes: int, margin: float, scale: float) -> None:
        super().__init__()
        self.weight = self.create_parameter([dimension, num_classes], default_initializer=XavierNormal())
        self.num_classes = num_classes
        self.margin = margin
        self.scale = scale

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        unit_features = features / features.square().sum(axis=1, keepdim=True).sqrt()
        unit_weight = self.weight / self.weight.square().sum(axis=0, keepdim=True).sqrt()
        cosine = paddle.matmul(unit_features, unit_weight)
        if label is None or not self.training:
            return cosine
        one_hot = F.one_hot(label.flatten(), self.num_classes)
        target, other = self.with_margin(cosine)
        return self.scale * (one_hot * target + (1.0 - one_hot) * other)

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        """Values for the target class and for the other classes, before scaling; both (N, classes)."""
        raise NotImplementedError


class ArcMarginHead(CosineHead):
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


class CosMarginHead(CosineHead):
    """Additive cosine margin (CosFace, Wang et al. 2018): cos - margin for the target class."""

    def __init__(self, dimension: int, num_classes: int, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__(dimension, num_classes, margin, scale)

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        return cosine - self.margin, cosine


class CircleMarginHead(CosineHead):
    """Circle loss as class-level margin (Sun et al. 2020): each cosine is weighted by its distance from its optimum."""

    def __init__(self, dimension: int, num_classes: int, margin: float = 0.25, scale: float = 256.0) -> None:
        super().__init__(dimension, num_classes, margin, scale)

    def with_margin(self, cosine: Tensor) -> tuple[Tensor, Tensor]:
        fixed = cosine.detach()
        pull = F.relu(1.0 + self.margin - fixed)
        push = F.relu(fixed + self.margin)
        return pull * (cosine - (1.0 - self.margin)), push * (cosine - self.margin)


class RecModel(nn.Layer):
    """Backbone, neck and head; only the features leave the model at inference.

    Input pictures (N, 3, H, W); a margin head also takes labels (N,) or (N, 1) while training.
    """

    def __init__(self, backbone: nn.Layer, neck: nn.Layer, head: nn.Layer | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, x: Tensor, label: Tensor | None = None) -> RecognitionOutput:
        backbone = self.backbone(x)
        features = self.neck(backbone)
        logits = None if self.head is None else self.head(features, label)
        return RecognitionOutput(backbone, features, logits)
