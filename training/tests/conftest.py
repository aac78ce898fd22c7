"""What several tests of training need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from picoseek_training.networks.mobilenet_v1 import MobileNetV1

Array = NDArray[np.float32]


@pytest.fixture(scope="session")
def graph_constant() -> Callable[..., bytes]:
    """Encodes one constant of a frozen TensorFlow graph, field by field as Protobuf does."""
    return _constant


@pytest.fixture(scope="session")
def mobilenet_graph() -> Callable[[MobileNetV1], bytes]:
    """Encodes a MobileNetV1 as a frozen TensorFlow graph of constants."""
    return _graph


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _constant(name: str, value: Array, fill: bool = False) -> bytes:
    shape = b"".join(_bytes(2, _number(1, size)) for size in value.shape)
    content = (
        _bytes(5, value.reshape(-1)[:1].astype("<f4").tobytes()) if fill else _bytes(4, value.astype("<f4").tobytes())
    )
    tensor = _number(1, 1) + _bytes(2, shape) + content
    attribute = _bytes(1, b"value") + _bytes(2, _bytes(8, tensor))
    return _bytes(1, _bytes(1, name.encode()) + _bytes(2, b"Const") + _bytes(3, b"an input") + _bytes(5, attribute))


def _graph(network: MobileNetV1) -> bytes:
    nodes = [_bytes(1, _bytes(1, b"input") + _bytes(2, b"Placeholder"))]

    def add(prefix: str, kernel: str, weight: Array, norm: paddle.nn.BatchNorm2D) -> None:
        nodes.append(_constant(f"{prefix}/{kernel}", weight))
        for name, tensor in (
            ("gamma", norm.weight),
            ("beta", norm.bias),
            ("moving_mean", norm._mean),
            ("moving_variance", norm._variance),
        ):
            nodes.append(_constant(f"{prefix}/BatchNorm/{name}", tensor.numpy()))

    stem = network.conv1
    add("MobilenetV1/Conv2d_0", "weights", stem.conv.weight.numpy().transpose(2, 3, 1, 0), stem.bn)
    for index, block in enumerate(network.blocks, start=1):
        depthwise, pointwise = block.dw_conv, block.pw_conv
        name = f"MobilenetV1/Conv2d_{index}"
        taps = depthwise.conv.weight.numpy().transpose(2, 3, 0, 1)
        add(f"{name}_depthwise", "depthwise_weights", taps, depthwise.bn)
        add(f"{name}_pointwise", "weights", pointwise.conv.weight.numpy().transpose(2, 3, 1, 0), pointwise.bn)
    return b"".join(nodes)
