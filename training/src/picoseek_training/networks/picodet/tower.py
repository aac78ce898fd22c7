"""The convolution tower of PicoDet's heads and the constants that official files carry beside it."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant

from picoseek_training.networks.picodet.layers import ConvNorm
from picoseek_training.networks.picodet.path_aggregation import LEVELS


class HeadMaps(NamedTuple):
    """Raw output of a head, one map a pyramid level (strides 8, 16, 32, 64)."""

    classes: list[Tensor]
    """[N, num_classes, h, w]; logits (PicoHead) or aligned probabilities (PicoHeadV2)."""
    distributions: list[Tensor]
    """[N, 4 * (reg_max + 1), h, w] logits of the side distances, side-major: left, top, right, bottom."""


class ChannelGate(nn.Layer):
    """Channel attention of PicoHeadV2: conv(x * sigmoid(fc(mean of x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2D(channels, channels, 1)
        self.conv = ConvNorm(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Gate [N, C, h, w] and mix its channels."""
        gate = F.sigmoid(self.fc(F.adaptive_avg_pool2d(features, 1)))
        output: Tensor = self.conv(features * gate)
        return output


class Tower(nn.Layer):
    """Pairs of depthwise 5x5 and pointwise convolutions, with weights of their own for each level."""

    def __init__(self, channels: int, pairs: int, gated: bool) -> None:
        super().__init__()
        self.se = nn.LayerList([ChannelGate(channels) for _ in range(LEVELS)]) if gated else None
        for level in range(LEVELS):
            depthwise = [ConvNorm(channels, channels, 5, groups=channels) for _ in range(pairs)]
            pointwise = [ConvNorm(channels, channels, 1) for _ in range(pairs)]
            self.add_sublayer(f"cls_conv_dw{level}", nn.LayerList(depthwise))
            self.add_sublayer(f"cls_conv_pw{level}", nn.LayerList(pointwise))

    def forward(self, features: Tensor, level: int) -> Tensor:
        """Features of one level [N, channels, h, w], before any gate."""
        depthwise = getattr(self, f"cls_conv_dw{level}")
        pointwise = getattr(self, f"cls_conv_pw{level}")
        for spatial, mixing in zip(depthwise, pointwise, strict=True):
            features = mixing(spatial(features))
        return features

    def gate(self, features: Tensor, level: int) -> Tensor:
        """Apply the level's channel attention; only a gated tower has one."""
        if self.se is None:
            raise ValueError("this tower was built without channel gates")
        output: Tensor = self.se[level](features)
        return output


class UnusedScale(nn.Layer):
    """A scale that official state dicts contain and no computation reads."""

    def __init__(self) -> None:
        super().__init__()
        self.scale_reg = self.create_parameter([1], default_initializer=Constant(1.0))
        self.scale_reg.stop_gradient = True


class DistanceBins(nn.Layer):
    """Holds the bin values 0 … reg_max as official state dicts name them."""

    def __init__(self, reg_max: int) -> None:
        super().__init__()
        self.register_buffer("project", paddle.arange(reg_max + 1, dtype="float32"))


class PicoHeadBase(nn.Layer):
    """What both heads share; subclasses add the last convolutions and `forward`."""

    classes_are_logits: bool

    def __init__(self, channels: int, pairs: int, num_classes: int, reg_max: int, gated: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.reg_max = reg_max
        self.conv_feat = Tower(channels, pairs, gated)
        for level in range(LEVELS):
            self.add_sublayer(f"p{level + 3}_feat", UnusedScale())
        self.distribution_project = DistanceBins(reg_max)
