"""MobileNetV1 from a frozen graph of TensorFlow's slim models, or of one retrained on top of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle

from picoseek_training.networks.layers import ConvBNAct
from picoseek_training.networks.mobilenet_v1 import MobileNetV1

from .frozen_graph import FrozenGraphError, read_constants

_NORMS = {"weight": "gamma", "bias": "beta", "_mean": "moving_mean", "_variance": "moving_variance"}


def load_mobilenet_v1(path: Path, network: MobileNetV1) -> None:
    """Fill `network`, in place.

    TensorFlow pads at the right and the bottom where a stride meets an even size, this network on both sides: its maps
    are those of a picture that is moved by at most 31 pixels.

    Raises:
        FileNotFoundError: there is no such file.
        FrozenGraphError: it is no frozen graph, or holds another network.
    """
    constants = read_constants(path)
    layers: list[tuple[str, str, ConvBNAct]] = [("Conv2d_0", "weights", network.conv1)]
    for index, block in enumerate(network.separable_blocks, start=1):
        layers.append((f"Conv2d_{index}_depthwise", "depthwise_weights", block.dw_conv))
        layers.append((f"Conv2d_{index}_pointwise", "weights", block.pw_conv))
    for name, kernel, layer in layers:
        prefix = f"MobilenetV1/{name}"
        try:
            weight = constants[f"{prefix}/{kernel}"]
            norms = {ours: constants[f"{prefix}/BatchNorm/{theirs}"] for ours, theirs in _NORMS.items()}
        except KeyError as error:
            raise FrozenGraphError(f"{path} is no MobileNetV1 with BatchNorms: it has no constant {error}") from None
        # [height, width, in, out], depthwise [height, width, channels, 1], to [out, in, height, width]
        order = (2, 3, 0, 1) if kernel == "depthwise_weights" else (3, 2, 0, 1)
        transposed = np.ascontiguousarray(weight.transpose(order))
        if list(transposed.shape) != list(layer.conv.weight.shape):
            raise FrozenGraphError(
                f"{path}: {prefix} has the shape {transposed.shape}, this network {tuple(layer.conv.weight.shape)}"
            )
        layer.conv.weight.set_value(transposed)
        layer.bn.set_state_dict({key: paddle.to_tensor(value) for key, value in norms.items()})
