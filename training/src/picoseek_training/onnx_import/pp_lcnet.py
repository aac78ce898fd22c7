"""Official PP-LCNet weights from an ONNX file that Paddle2ONNX wrote with BatchNorm unfolded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from paddle import nn

# Paddle2ONNX lists the weights in the order in which the network created them, among scalars of its own.
_NO_WEIGHT = "helper.constant"


def load_pp_lcnet(path: Path, network: nn.Layer) -> None:
    """Fill `network` with the file's weights, matched by order of creation and checked by shape.

    Raises:
        ValueError: count or shapes differ: the file holds another network, or its BatchNorms were folded.
    """
    initialisers = onnx.load(str(path)).graph.initializer
    arrays = [numpy_helper.to_array(tensor) for tensor in initialisers if not tensor.name.startswith(_NO_WEIGHT)]
    state = network.state_dict()
    if len(arrays) != len(state):
        raise ValueError(f"{path} has {len(arrays)} weights, the network {len(state)}; are BatchNorms folded?")
    for (name, parameter), array in zip(state.items(), arrays, strict=True):
        shape = tuple(parameter.shape)
        # A convolution's bias is stored as [1, C, 1, 1], ready to be added.
        bias = len(shape) == 1 and array.shape == (1, *shape, 1, 1)
        if array.shape != shape and not bias:
            raise ValueError(f"{path}: {name} has shape {array.shape}, the network expects {shape}")
        parameter.set_value(np.asarray(array.reshape(shape), dtype=np.float32))
