"""PP-LCNetV2 (PaddleClas): classifier, feature extractor and ShiTu variant, with re-parameterised branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F

from .layers import ConvBNAct, DownscaleInInferDropout, SqueezeExcitation, make_divisible
from .reparameterisation import fuse_branches

Branches = Literal["all", "largest"]


@dataclass(frozen=True)
class StageSpec:
    """One stage at scale 1.0; its first block changes the width and carries the stride."""

    in_channels: int
    out_channels: int
    kernel_size: int
    """Side of the (largest) depthwise kernel."""
    split_pointwise: bool = False
    """Two pointwise convolutions through half the output channels instead of one."""
    rep_branches: bool = False
    """Parallel depthwise branches that fuse into one convolution for inference."""
    squeeze_excitation: bool = False
    """Channel attention between the depthwise and the pointwise convolution."""
    shortcut: bool = False
    """Adds its input to the output of every block that keeps size and width."""


STEM_CHANNELS = (32, 64)
STAGES: tuple[StageSpec, ...] = (
    StageSpec(64, 128, 3),
    StageSpec(128, 256, 3),
    StageSpec(256, 512, 5, split_pointwise=True, rep_branches=True, squeeze_excitation=True),
    StageSpec(512, 1024, 5, rep_branches=True, shortcut=True),
)


@dataclass(frozen=True)
class PPLCNetV2Config:
    """What distinguishes one PP-LCNetV2 from another; the defaults are the published base classifier."""

    scale: float = 1.0
    """Multiplies every channel count of the stem and the stages."""
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    """Blocks of each stage."""
    num_classes: int | None = 1000
    """Outputs of the classifier; None ends the network at the flattened features."""
    class_expand: int = 1280
    """Channels of the 1x1 convolution after pooling, not scaled: the dimension of the features."""
    dropout: float = 0.2
    """Probability of the dropout after that convolution; evaluation multiplies by 1 - dropout."""
    last_stage_stride: int = 2
    """Stride of the last stage; ShiTu keeps 1, so that pooling sees maps of a 16th of the input's size."""
    last_conv_bias: bool = False
    """ShiTu gives the convolution after pooling a bias."""
    last_activation: bool = True
    """ReLU after that convolution; ShiTu has none, its features may be negative."""
    branches: Branches = "all"
    """`largest` trains only the largest kernel of each rep block: the same deployed network for less time a step."""


PPLCNETV2_CONFIGS: dict[str, PPLCNetV2Config] = {
    "pplcnetv2_small": PPLCNetV2Config(scale=0.75, depths=(2, 2, 4, 2)),
    "pplcnetv2_base": PPLCNetV2Config(scale=1.0, depths=(2, 2, 6, 2)),
    "pplcnetv2_large": PPLCNetV2Config(scale=1.25, depths=(2, 2, 8, 2)),
    "pplcnetv2_base_shitu": PPLCNetV2Config(
        num_classes=None, class_expand=512, last_stage_stride=1, last_conv_bias=True, last_activation=False
    ),
}
"""The published classifiers, and the backbone of PP-ShiTu V2."""


class RepDepthwiseSeparable(nn.Layer):
    """Depthwise (plain or rep), optional channel attention, one or two pointwise convolutions, optional shortcut.

    A rep block sums depthwise branches with kernels k, k - 2, …, each with its BatchNorm; the 1x1 branch exists only at
    stride 1. Its fused convolution `dw_conv` is always a member, as in the official state dicts, but is used only after
    `re_parameterize`, and training leaves it alone.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, spec: StageSpec, branches: Branches) -> None:
        super().__init__()
        self.is_rep = spec.rep_branches
        self.is_repped = False
        self.has_shortcut = spec.shortcut and stride == 1 and in_channels == out_channels
        kernel_size = spec.kernel_size
        if spec.rep_branches:
            kernels = [k for k in range(kernel_size, 0, -2) if k > 1 or stride == 1]
            if branches == "largest":
                kernels = kernels[:1]
            self.dw_conv_list = nn.LayerList(
                [ConvBNAct(in_channels, in_channels, k, stride, groups=in_channels) for k in kernels]
            )
            self.dw_conv: nn.Layer = nn.Conv2D(
                in_channels,
                in_channels,
                kernel_size,
                stride=stride,
                padding=(kernel_size - 1) // 2,
                groups=in_channels,
                weight_attr=ParamAttr(trainable=False),
                bias_attr=ParamAttr(trainable=False),
            )
        else:
            self.dw_conv = ConvBNAct(
                in_channels, in_channels, kernel_size, stride, groups=in_channels, activation="relu"
            )
        self.se = SqueezeExcitation(in_channels, "sigmoid") if spec.squeeze_excitation else None
        self.split_pointwise = spec.split_pointwise
        if spec.split_pointwise:
            self.pw_conv_1 = ConvBNAct(in_channels, out_channels // 2, 1, activation="relu")
            self.pw_conv_2 = ConvBNAct(out_channels // 2, out_channels, 1, activation="relu")
        else:
            self.pw_conv = ConvBNAct(in_channels, out_channels, 1, activation="relu")

    def depthwise(self, x: Tensor) -> Tensor:
        """Output of the depthwise part after its ReLU."""
        if not self.is_rep:
            return self.dw_conv(x)
        if self.is_repped:
            return F.relu(self.dw_conv(x))
        first, *others = self.dw_conv_list.children()
        total = first(x)
        for branch in others:
            total = total + branch(x)
        return F.relu(total)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x)
        if self.se is not None:
            y = self.se(y)
        y = self.pw_conv_2(self.pw_conv_1(y)) if self.split_pointwise else self.pw_conv(y)
        return x + y if self.has_shortcut else y

    def re_parameterize(self) -> None:
        """Fuse the branches into `dw_conv` and use it from now on; a plain or fused block stays as it is."""
        if self.is_rep and not self.is_repped:
            assert isinstance(self.dw_conv, nn.Conv2D)
            branches = [branch for branch in self.dw_conv_list.children() if isinstance(branch, ConvBNAct)]
            fuse_branches(branches, self.dw_conv)
            self.is_repped = True


class PPLCNetV2(nn.Layer):
    """Classifier (N, 3, H, W) -> logits (N, num_classes), or features (N, class_expand) without a classifier."""

    def __init__(self, config: PPLCNetV2Config) -> None:
        super().__init__()

        def width(channels: int) -> int:
            return make_divisible(channels * config.scale)

        stem, first = STEM_CHANNELS
        plain = StageSpec(stem, first, 3)
        self.stem = nn.Sequential(
            ConvBNAct(3, width(stem), 3, stride=2, activation="relu"),
            RepDepthwiseSeparable(width(stem), width(first), 1, plain, config.branches),
        )
        self.stages = nn.LayerList()
        for spec, depth in zip(STAGES, config.depths, strict=True):
            stride = config.last_stage_stride if spec is STAGES[-1] else 2
            blocks: list[nn.Layer] = []
            for index in range(depth):
                in_channels = width(spec.in_channels if index == 0 else spec.out_channels)
                blocks.append(
                    RepDepthwiseSeparable(
                        in_channels,
                        width(spec.out_channels),
                        stride if index == 0 else 1,
                        spec,
                        config.branches,
                    )
                )
            self.stages.append(nn.Sequential(*blocks))
        self.stage_channels = tuple(width(spec.out_channels) for spec in STAGES)
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.last_conv = nn.Conv2D(
            self.stage_channels[-1],
            config.class_expand,
            1,
            bias_attr=None if config.last_conv_bias else False,
        )
        self.act: nn.Layer = nn.ReLU() if config.last_activation else nn.Identity()
        self.dropout = DownscaleInInferDropout(config.dropout)
        self.flatten = nn.Flatten()
        self.fc = None if config.num_classes is None else nn.Linear(config.class_expand, config.num_classes)
        self.out_channels = config.class_expand if config.num_classes is None else config.num_classes

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Outputs of the four stages for a picture (N, 3, H, W); strides 4, 8, 16 and 32 (ShiTu: 16 twice)."""
        x = self.stem(x)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def tail(self, x: Tensor) -> Tensor:
        """Features or logits from the map of the last stage."""
        x = self.dropout(self.act(self.last_conv(self.avg_pool(x))))
        x = self.flatten(x)
        return x if self.fc is None else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.stage_maps(x)[-1])
