"""Building blocks shared by PP-LCNet, PP-LCNetV2 and the networks built on them.

Sub-layers carry the attribute names of PaddleClas (`conv`, `bn`, `conv1`, `conv2`): official state dicts load by name.
"""

from __future__ import annotations

from typing import Literal

from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import KaimingNormal
from paddle.regularizer import L2Decay

Activation = Literal["hardswish", "relu", "relu6", "identity"]
Gate = Literal["hardsigmoid", "sigmoid"]
Padding = Literal["both_sides", "tensorflow"]
"""Where a convolution pads: (k - 1) / 2 at both sides, or what TensorFlow calls SAME.

They differ at stride 2 on an even size, where TensorFlow pads one pixel less at the left and the top.
"""

_ACTIVATIONS: dict[str, type[nn.Layer]] = {
    "hardswish": nn.Hardswish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "identity": nn.Identity,
}
_GATES: dict[str, type[nn.Layer]] = {"hardsigmoid": nn.Hardsigmoid, "sigmoid": nn.Sigmoid}


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round a channel count to the nearest multiple of `divisor`, never losing more than a tenth of it."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def make_activation(name: Activation) -> nn.Layer:
    """Build an activation layer by name; raise `ValueError` for an unknown one."""
    if name not in _ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def batch_norm(channels: int, epsilon: float = 1e-5) -> nn.BatchNorm2D:
    """BatchNorm over NCHW whose scale and shift carry no weight decay, as in the published recipes."""
    return nn.BatchNorm2D(
        channels,
        epsilon=epsilon,
        weight_attr=ParamAttr(regularizer=L2Decay(0.0)),
        bias_attr=ParamAttr(regularizer=L2Decay(0.0)),
    )


class ConvBNAct(nn.Layer):
    """Convolution without bias, BatchNorm, activation; padding keeps the size at stride 1.

    Input (N, in_channels, H, W), output (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = "identity",
        padding: Padding = "both_sides",
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding="SAME" if padding == "tensorflow" else (kernel_size - 1) // 2,
            groups=groups,
            weight_attr=ParamAttr(initializer=KaimingNormal()),
            bias_attr=False,
        )
        self.bn = batch_norm(out_channels, epsilon)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class SqueezeExcitation(nn.Layer):
    """Channel attention (Hu et al. 2018): x * gate(conv2(relu(conv1(mean of x)))), a quarter as wide in between."""

    def __init__(self, channels: int, gate: Gate) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.conv1 = nn.Conv2D(channels, channels // 4, 1)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2D(channels // 4, channels, 1)
        self.gate = _GATES[gate]()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.conv2(self.relu(self.conv1(self.pool(x)))))


class DownscaleInInferDropout(nn.Dropout):
    """Dropout that only masks in training and multiplies by 1 - p in evaluation (Paddle's `downscale_in_infer`).

    The classification networks were trained with it, so their evaluation outputs carry the factor 1 - p.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p=p, mode="downscale_in_infer")
