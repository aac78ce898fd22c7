"""The compiled depthwise convolution is Paddle's, only faster."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from picoseek_training.acceleration.depthwise import CompiledDepthwise, compile_depthwise


@pytest.mark.parametrize(
    ("channels", "side", "kernel", "stride"), [(16, 12, 3, 1), (8, 9, 3, 2), (32, 6, 5, 1), (8, 7, 5, 2)]
)
def test_output_and_gradients_equal(channels: int, side: int, kernel: int, stride: int) -> None:
    paddle.seed(0)
    conv = nn.Conv2D(channels, channels, kernel, stride, kernel // 2, groups=channels, bias_attr=False)
    pictures = paddle.randn([3, channels, side, side])
    results = []
    for layer in (conv, CompiledDepthwise(conv)):
        inputs = pictures.clone().detach()
        inputs.stop_gradient = False
        output = layer(inputs)
        (output * paddle.cos(output)).sum().backward()
        results.append((output.numpy(), inputs.grad.numpy(), conv.weight.grad.numpy().copy()))
        conv.clear_gradients()
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_only_plain_depthwise_layers_are_replaced_and_names_stay() -> None:
    network = nn.Sequential(
        nn.Conv2D(4, 4, 3, groups=4, bias_attr=False), nn.Conv2D(4, 4, 3, groups=4), nn.Conv2D(4, 8, 1, bias_attr=False)
    )
    names = list(network.state_dict())
    assert compile_depthwise(network) == 1
    assert list(network.state_dict()) == names
