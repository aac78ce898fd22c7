"""Smaller files: the weights of convolutions and linear layers kept in fewer bits and widened when they are used.

The arithmetic stays float32, and files shrink to a half or a quarter. ONNX Runtime and OpenVINO widen constants once;
Paddle Inference widens them in every run, which costs time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

_LARGEST_INT8 = 127


class Precision(StrEnum):
    """In what the weights are kept."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    """A byte a weight and a float32 scale an output channel, symmetric, rounded to the nearest."""


def store_weights(network: nn.Layer, precision: Precision) -> None:
    """Change, in place, how the network keeps its weights; biases and BatchNorm stay float32.

    Afterwards it serves for export alone: its weights are no parameters any more.
    """
    if precision is Precision.FLOAT32:
        return
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D | nn.Linear):
            _store(layer, precision)


def quantized(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a weight in int8, and the scales with which it is multiplied to get it back.

    Args:
        weight: Any shape.
        axis: Its output channels, each of which gets a scale of its own.

    Returns:
        The same shape in int8, and the scales with size 1 in all other axes.
    """
    others = tuple(each for each in range(weight.ndim) if each != axis)
    scale = np.maximum(np.abs(weight).max(axis=others, keepdims=True), np.finfo(np.float32).tiny) / _LARGEST_INT8
    return np.round(weight / scale).astype(np.int8), scale.astype(np.float32)


def _store(layer: nn.Conv2D | nn.Linear, precision: Precision) -> None:
    weight = layer.weight.numpy().astype(np.float32)
    del layer._parameters["weight"]
    if precision is Precision.FLOAT16:
        layer.register_buffer("weight_stored", paddle.to_tensor(weight.astype(np.float16)))
    else:
        values, scale = quantized(weight, axis=1 if isinstance(layer, nn.Linear) else 0)
        layer.register_buffer("weight_stored", paddle.to_tensor(values))
        layer.register_buffer("weight_scale", paddle.to_tensor(scale))
    hook: Any = _widen
    layer.register_forward_pre_hook(hook)
    _widen(layer, None)


def _widen(layer: nn.Layer, _inputs: object) -> None:
    wide = layer.weight_stored.astype("float32")
    object.__setattr__(layer, "weight", wide * layer.weight_scale if "weight_scale" in layer._buffers else wide)
