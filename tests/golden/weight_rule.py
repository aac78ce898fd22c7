"""The golden format's rule for weights and inputs: each tensor depends on its key, its shape and a few constants."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn

UNFILLED = (".project", ".scale_reg")
"""Constants that keep their built-in values."""
OUTPUT_LAYERS = (".head_cls", ".head_reg", ".cls_align.")
"""Keys whose convolutions take the gain `gout`."""
INPUT_BLOCK = 16


def fill_network(network: nn.Layer, meta: dict[str, Any]) -> None:
    """Give every tensor of the network's state its value by the rule."""
    for key, tensor in network.state_dict().items():
        if not key.endswith(UNFILLED):
            tensor.set_value(weight(key, tuple(tensor.shape), meta))


def weight(key: str, shape: tuple[int, ...], meta: dict[str, Any]) -> NDArray[np.float32]:
    """Value of one tensor; key and shape are Paddle's."""
    text = "|".join([str(meta.get("salt", "")), key, "x".join(map(str, shape))])
    noise = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(shape)
    return _scaled(noise, key, shape, meta).astype(np.float32)


def _scaled(noise: NDArray[np.float64], key: str, shape: tuple[int, ...], meta: dict[str, Any]) -> NDArray[np.float64]:
    role = key.rsplit(".", 1)[-1]
    if role in ("_mean", "bias"):
        return 0.1 * noise
    if role == "_variance":
        return 1.0 + 0.2 * np.abs(noise)
    if role != "weight":
        raise ValueError(f"the rule does not cover {key}")
    if len(shape) == 1:
        return 1.0 + 0.1 * noise
    if len(shape) == 2:
        return noise * np.sqrt(1.0 / shape[0])
    gain = meta.get("gdw", 1.0) if shape[1] == 1 else meta.get("gpw", 2.0)
    if meta.get("gout") is not None and any(layer in key for layer in OUTPUT_LAYERS):
        gain = meta["gout"]
    return noise * np.sqrt(gain / np.prod(shape[1:]))


def network_input(seed: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """Input [N, C, H, W]: blocks of noise plus half as much pixel noise."""
    rng = np.random.default_rng(seed)
    batch, channels, height, width = shape
    coarse = rng.standard_normal((batch, channels, -(-height // INPUT_BLOCK), -(-width // INPUT_BLOCK)))
    blocks = np.repeat(np.repeat(coarse, INPUT_BLOCK, axis=2), INPUT_BLOCK, axis=3)[:, :, :height, :width]
    return (blocks + 0.5 * rng.standard_normal((batch, channels, height, width))).astype(np.float32)
