"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861): the features of its ImageNet weights start PP-LCNetV2."""

from __future__ import annotations

from paddle import Tensor, nn

from .layers import ConvBNAct
from .pp_lcnet import BlockSpec, DepthwiseSeparable

STEM_CHANNELS = 32
BLOCKS: tuple[BlockSpec, ...] = (
    BlockSpec(3, 32, 64),
    BlockSpec(3, 64, 128, stride=2),
    BlockSpec(3, 128, 128),
    BlockSpec(3, 128, 256, stride=2),
    BlockSpec(3, 256, 256),
    BlockSpec(3, 256, 512, stride=2),
    *(BlockSpec(3, 512, 512) for _ in range(5)),
    BlockSpec(3, 512, 1024, stride=2),
    BlockSpec(3, 1024, 1024),
)
EPSILON = 1e-3
"""Of every BatchNorm, as TensorFlow trained it."""


class MobileNetV1(nn.Layer):
    """Pictures (N, 3, H, W) in -1 … 1 to pooled features (N, 1024 * scale)."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(3, int(STEM_CHANNELS * scale), 3, stride=2, activation="relu6")
        self.blocks = nn.LayerList([DepthwiseSeparable(spec, scale, "relu6") for spec in BLOCKS])
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        for layer in self.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer._epsilon = EPSILON

    @property
    def separable_blocks(self) -> list[DepthwiseSeparable]:
        """The blocks in their order."""
        return [block for block in self.blocks if isinstance(block, DepthwiseSeparable)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for block in self.blocks:
            x = block(x)
        return self.avg_pool(x).flatten(1)
