"""ONNX files as graphs of weighted layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from picoseek_training.weight_graph.graph import Array, Graph, Kind, Node

_KINDS = {
    "Conv": Kind.CONVOLUTION,
    "BatchNormalization": Kind.NORM,
    "MatMul": Kind.LINEAR,
    "Gemm": Kind.LINEAR,
    "Add": Kind.ADD,
    **dict.fromkeys(("Reshape", "Identity", "Squeeze", "Unsqueeze", "Cast"), Kind.RESHAPE),
}


def read_onnx_graph(path: Path) -> Graph:
    """Read an ONNX file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no ONNX file, or its weights lie outside of it.
    """
    try:
        graph = onnx.load(str(path)).graph
    except DecodeError as error:
        raise ValueError(f"{path} is no ONNX file, or is damaged ({error})") from error
    if not graph.node:
        raise ValueError(f"{path} is no ONNX file, or is damaged (it holds no operator)")
    constants: dict[str, Array] = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    nodes = tuple(_node(node, constants) for node in graph.node)
    # Older files list their constants among the inputs.
    inputs = {value.name: _shape(value) for value in graph.input if value.name not in constants}
    return Graph(nodes, constants, inputs, _factors(graph, constants))


def _node(node: onnx.NodeProto, constants: dict[str, Array]) -> Node:
    inputs = [name for name in node.input if name]
    if node.op_type == "Gemm" and any(each.name == "transB" and each.i for each in node.attribute):
        transposed = f"{inputs[1]} (transposed)"
        if inputs[1] in constants:
            constants[transposed] = np.ascontiguousarray(constants[inputs[1]].T)
        inputs[1] = transposed
    output = node.output[0] if node.output else ""
    return Node(_KINDS.get(node.op_type, Kind.OTHER), tuple(inputs), output, node.name)


def _factors(graph: onnx.GraphProto, constants: dict[str, Array]) -> frozenset[float]:
    products = (name for node in graph.node if node.op_type == "Mul" for name in node.input)
    return frozenset(
        float(constants[name].item()) for name in products if name in constants and constants[name].size == 1
    )


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(each.dim_value if each.dim_value > 0 else -1 for each in value.type.tensor_type.shape.dim)
