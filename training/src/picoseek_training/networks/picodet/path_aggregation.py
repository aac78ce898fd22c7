"""The feature pyramid that both PicoDet necks share: top-down, bottom-up, and a fourth level at stride 64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import paddle
from paddle import Tensor, nn

from picoseek_training.networks.picodet.layers import ConvBatchNorm, DepthwisePointwise

LEVELS = 4
"""Pyramid levels that a neck returns: strides 8, 16, 32 and 64."""


class Laterals(nn.Layer):
    """1x1 convolutions that bring every backbone level to the neck's width."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.convs = nn.LayerList([ConvBatchNorm(channels, out_channels) for channels in in_channels])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Bring each level to the common width."""
        return [conv(level) for conv, level in zip(self.convs, features, strict=True)]


class PathAggregation(nn.Layer):
    """Path-aggregation neck of PicoDet; `fuse` makes the layer that fuses two concatenated levels.

    Input: three maps [N, C_i, h, w] of strides 8, 16, 32, of a picture whose sides are multiples of 32.
    Output: four maps [N, out_channels, h, w] of strides 8, 16, 32, 64.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, fuse: Callable[[int, int], nn.Layer]) -> None:
        super().__init__()
        steps = len(in_channels) - 1
        self.conv_t = Laterals(in_channels, out_channels)
        self.first_top_conv = DepthwisePointwise(out_channels, out_channels, stride=2)
        self.second_top_conv = DepthwisePointwise(out_channels, out_channels, stride=2)
        self.top_down_blocks = nn.LayerList([fuse(2 * out_channels, out_channels) for _ in range(steps)])
        self.downsamples = nn.LayerList(
            [DepthwisePointwise(out_channels, out_channels, stride=2) for _ in range(steps)]
        )
        self.bottom_up_blocks = nn.LayerList([fuse(2 * out_channels, out_channels) for _ in range(steps)])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse the backbone's levels and add the fourth."""
        laterals = self.conv_t(features)

        merged = [laterals[-1]]
        for block, lower in zip(self.top_down_blocks, reversed(laterals[:-1]), strict=True):
            merged.insert(0, block(paddle.concat([_double(merged[0]), lower], axis=1)))

        outputs = [merged[0]]
        for downsample, block, higher in zip(self.downsamples, self.bottom_up_blocks, merged[1:], strict=True):
            outputs.append(block(paddle.concat([downsample(outputs[-1]), higher], axis=1)))

        top = self.first_top_conv(laterals[-1]) + self.second_top_conv(outputs[-1])
        return [*outputs, top]


def _double(features: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by two, of operators that oneDNN's inference and Paddle2ONNX both know.

    oneDNN cannot run Paddle's interpolation, and Paddle2ONNX 2.1 turns `repeat_interleave` into a Tile that is wrong.
    """
    rows = paddle.stack([features, features], axis=3).flatten(2, 3)
    return paddle.stack([rows, rows], axis=4).flatten(3, 4)
