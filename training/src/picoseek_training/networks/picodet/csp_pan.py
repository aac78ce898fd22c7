"""CSP-PAN, the neck of the legacy PicoDet models and of the main-body detector."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn

from picoseek_training.networks.picodet.layers import ConvBatchNorm, DepthwisePointwise
from picoseek_training.networks.picodet.path_aggregation import PathAggregation


class Bottleneck(nn.Layer):
    """Pointwise convolution and depthwise-separable 5x5, without residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBatchNorm(channels, channels)
        self.conv2 = DepthwisePointwise(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to the output width, at the same size."""
        output: Tensor = self.conv2(self.conv1(features))
        return output


class CspLayer(nn.Layer):
    """Cross-stage-partial layer: half of the channels pass one bottleneck, the other half go straight on."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.main_conv = ConvBatchNorm(in_channels, middle)
        self.short_conv = ConvBatchNorm(in_channels, middle)
        self.final_conv = ConvBatchNorm(2 * middle, out_channels)
        self.blocks = nn.Sequential(Bottleneck(middle))

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to the output width, at the same size."""
        # In the order of the official graphs: files without names of use are imported by it.
        short = self.short_conv(features)
        main = self.blocks(self.main_conv(features))
        output: Tensor = self.final_conv(paddle.concat([main, short], axis=1))
        return output


class CspPan(PathAggregation):
    """Path aggregation whose levels are fused by CSP layers."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__(in_channels, out_channels, fuse=CspLayer)
