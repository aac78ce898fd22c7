"""Convolution weights of an ONNX graph, in the order in which the graph computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


@dataclass(frozen=True)
class OnnxConvolution:
    """One `Conv` node; a BatchNorm that followed it in training is folded into its numbers."""

    name: str
    """Name of the node."""
    weight: NDArray[np.float32]
    """[out, in / groups, kh, kw]."""
    bias: NDArray[np.float32]
    """[out]; zeros where the node has none."""


def read_convolutions(path: Path) -> list[OnnxConvolution]:
    """Read all convolutions of the file in graph order.

    A bias may be the node's third input or, as Paddle2ONNX writes it, a constant [1, out, 1, 1] that the next node
    adds.

    Raises:
        ValueError: A convolution's weight is not a constant of the graph.
    """
    graph = onnx.load(str(path)).graph
    constants = _constants(graph)
    added = {
        node.input[position]: constants[node.input[1 - position]]
        for node in graph.node
        if node.op_type == "Add"
        for position in (0, 1)
        if node.input[1 - position] in constants
    }
    return [_convolution(node, constants, added) for node in graph.node if node.op_type == "Conv"]


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return constants


def _convolution(
    node: onnx.NodeProto,
    constants: Mapping[str, NDArray[np.float32]],
    added: Mapping[str, NDArray[np.float32]],
) -> OnnxConvolution:
    if node.input[1] not in constants:
        raise ValueError(f"the weight of convolution {node.name!r} is not a constant")
    weight = constants[node.input[1]]
    outputs = weight.shape[0]
    following = added.get(node.output[0])
    if len(node.input) > 2:
        bias = constants[node.input[2]]
    elif following is not None and following.shape == (1, outputs, 1, 1):
        bias = following.reshape(-1)
    else:
        bias = np.zeros(outputs, np.float32)
    return OnnxConvolution(node.name, weight, bias)
