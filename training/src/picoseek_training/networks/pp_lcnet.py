"""PP-LCNet v1 (Cui et al. 2021, arXiv:2109.15099): classifier, feature extractor and detection backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paddle import Tensor, nn

from .layers import Activation, ConvBNAct, DownscaleInInferDropout, SqueezeExcitation, make_divisible


@dataclass(frozen=True)
class BlockSpec:
    """One depthwise-separable block at scale 1.0."""

    kernel_size: int
    """Side of the depthwise kernel."""
    in_channels: int
    out_channels: int
    stride: int = 1
    """Stride of the depthwise convolution."""
    squeeze_excitation: bool = False
    """Channel attention between the depthwise and the pointwise convolution."""


STEM_CHANNELS = 16
STAGES: dict[str, tuple[BlockSpec, ...]] = {
    "blocks2": (BlockSpec(3, 16, 32),),
    "blocks3": (BlockSpec(3, 32, 64, stride=2), BlockSpec(3, 64, 64)),
    "blocks4": (BlockSpec(3, 64, 128, stride=2), BlockSpec(3, 128, 128)),
    "blocks5": (BlockSpec(3, 128, 256, stride=2), *(BlockSpec(5, 256, 256) for _ in range(5))),
    "blocks6": (
        BlockSpec(5, 256, 512, stride=2, squeeze_excitation=True),
        BlockSpec(5, 512, 512, squeeze_excitation=True),
    ),
}


@dataclass(frozen=True)
class PPLCNetConfig:
    """What distinguishes one PP-LCNet from another; the defaults are the published classifier at scale 1.0."""

    scale: float = 1.0
    """Multiplies every channel count of the stem and the stages."""
    num_classes: int | None = 1000
    """Outputs of the classifier; None ends the network at the flattened features."""
    class_expand: int = 1280
    """Channels of the 1x1 convolution after pooling; not scaled."""
    use_last_conv: bool = True
    """False puts the classifier directly on the pooled features."""
    dropout: float = 0.2
    """Probability of the dropout before the classifier; evaluation multiplies by 1 - dropout."""
    activation: Activation = "hardswish"


PPLCNET_CONFIGS: dict[str, PPLCNetConfig] = {
    "pplcnet_x0_25": PPLCNetConfig(scale=0.25),
    "pplcnet_x0_35": PPLCNetConfig(scale=0.35),
    "pplcnet_x0_5": PPLCNetConfig(scale=0.5),
    "pplcnet_x0_75": PPLCNetConfig(scale=0.75),
    "pplcnet_x1_0": PPLCNetConfig(scale=1.0),
    "pplcnet_x1_5": PPLCNetConfig(scale=1.5),
    "pplcnet_x2_0": PPLCNetConfig(scale=2.0),
    "pplcnet_x2_5": PPLCNetConfig(scale=2.5),
}
"""The published classifiers."""


class DepthwiseSeparable(nn.Layer):
    """Depthwise convolution, optional channel attention, pointwise convolution."""

    def __init__(self, spec: BlockSpec, scale: float, activation: Activation) -> None:
        super().__init__()
        in_channels = make_divisible(spec.in_channels * scale)
        self.dw_conv = ConvBNAct(
            in_channels,
            in_channels,
            spec.kernel_size,
            stride=spec.stride,
            groups=in_channels,
            activation=activation,
        )
        self.se = SqueezeExcitation(in_channels, "hardsigmoid") if spec.squeeze_excitation else None
        self.pw_conv = ConvBNAct(in_channels, make_divisible(spec.out_channels * scale), 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dw_conv(x)
        if self.se is not None:
            x = self.se(x)
        return self.pw_conv(x)


class PPLCNetTrunk(nn.Layer):
    """Stem and the five stages, without a tail."""

    def __init__(self, scale: float, activation: Activation = "hardswish") -> None:
        super().__init__()
        self.conv1 = ConvBNAct(3, make_divisible(STEM_CHANNELS * scale), 3, stride=2, activation=activation)
        for name, specs in STAGES.items():
            self.add_sublayer(name, nn.Sequential(*(DepthwiseSeparable(s, scale, activation) for s in specs)))
        self.stage_channels = {name: make_divisible(specs[-1].out_channels * scale) for name, specs in STAGES.items()}

    def stage_maps(self, x: Tensor) -> dict[str, Tensor]:
        """Outputs of `blocks2` … `blocks6` for a picture (N, 3, H, W); strides 2, 4, 8, 16 and 32."""
        x = self.conv1(x)
        maps: dict[str, Tensor] = {}
        for name in STAGES:
            x = getattr(self, name)(x)
            maps[name] = x
        return maps


class PPLCNet(PPLCNetTrunk):
    """Classifier (N, 3, H, W) -> logits (N, num_classes), or features (N, class_expand) without a classifier."""

    def __init__(self, config: PPLCNetConfig) -> None:
        super().__init__(config.scale, config.activation)
        channels = self.stage_channels["blocks6"]
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.last_conv: nn.Conv2D | None = None
        if config.use_last_conv:
            self.last_conv = nn.Conv2D(channels, config.class_expand, 1, bias_attr=False)
            self.act = nn.Hardswish()
            self.dropout = DownscaleInInferDropout(config.dropout)
            channels = config.class_expand
        self.flatten = nn.Flatten()
        self.fc = None if config.num_classes is None else nn.Linear(channels, config.num_classes)
        self.out_channels = channels if config.num_classes is None else config.num_classes

    def forward(self, x: Tensor) -> Tensor:
        x = self.avg_pool(self.stage_maps(x)["blocks6"])
        if self.last_conv is not None:
            x = self.dropout(self.act(self.last_conv(x)))
        x = self.flatten(x)
        return x if self.fc is None else self.fc(x)


class PPLCNetBackbone(PPLCNetTrunk):
    """Detection backbone: maps of the named stages, by default of strides 8, 16 and 32.

    `out_channels` and `out_strides` describe the returned maps in their order.
    """

    def __init__(self, scale: float, stages: Sequence[str] = ("blocks4", "blocks5", "blocks6")) -> None:
        unknown = [name for name in stages if name not in STAGES]
        if unknown:
            raise ValueError(f"unknown stages {unknown}; known: {list(STAGES)}")
        super().__init__(scale)
        self.stages = tuple(stages)
        self.out_channels = tuple(self.stage_channels[name] for name in stages)
        self.out_strides = tuple(2 ** (list(STAGES).index(name) + 1) for name in stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.stage_maps(x)
        return [maps[name] for name in self.stages]
