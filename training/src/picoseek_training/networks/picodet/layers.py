"""Convolution blocks of PicoDet's necks and heads, with PaddleDetection's attribute names."""

from __future__ import annotations

from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Normal
from paddle.regularizer import L2Decay


class ConvNorm(nn.Layer):
    """Convolution without bias, BatchNorm and h-swish of a head tower; its norm carries no weight decay."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=groups,
            weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
            bias_attr=False,
        )
        self.norm = nn.BatchNorm2D(
            out_channels,
            weight_attr=ParamAttr(regularizer=L2Decay(0.0)),
            bias_attr=ParamAttr(regularizer=L2Decay(0.0)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to the output width."""
        return F.hardswish(self.norm(self.conv(features)))


class ConvBatchNorm(nn.Layer):
    """Pointwise convolution without bias, BatchNorm and h-swish of a neck; its norm decays like every weight."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(in_channels, out_channels, 1, bias_attr=False)
        self.bn = nn.BatchNorm2D(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to the output width."""
        return F.hardswish(self.bn(self.conv(features)))


class DepthwisePointwise(nn.Layer):
    """Depthwise 5x5 (with the stride) and pointwise convolution, each followed by BatchNorm and h-swish.

    With a single output channel the first convolution is an ordinary one (`groups` equals the output channels),
    and without `activate_output` the last h-swish is left out: the form of PicoHeadV2's alignment branch.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 5,
        stride: int = 1,
        activate_output: bool = True,
    ) -> None:
        super().__init__()
        self.activate_output = activate_output
        self.dwconv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=out_channels,
            bias_attr=False,
        )
        self.bn1 = nn.BatchNorm2D(out_channels)
        self.pwconv = nn.Conv2D(out_channels, out_channels, 1, bias_attr=False)
        self.bn2 = nn.BatchNorm2D(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, h, w] to the output width."""
        hidden = F.hardswish(self.bn1(self.dwconv(features)))
        output: Tensor = self.bn2(self.pwconv(hidden))
        return F.hardswish(output) if self.activate_output else output
