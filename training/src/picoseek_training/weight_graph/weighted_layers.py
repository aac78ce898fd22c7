"""The layers of a graph that have weights, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from picoseek_training.weight_graph.graph import Array, Graph, Kind, Node

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NormWeights:
    """A BatchNorm, four times [C]."""

    scale: Floats
    shift: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True)
class WeightedLayer:
    """A convolution or linear layer with the BatchNorm that takes its output, or a BatchNorm by itself."""

    kind: Literal["convolution", "linear", "norm"]
    name: str
    """What the file calls its weights."""
    weight: Floats | None
    """[out, in / groups, kh, kw] of a convolution, [in, out] of a linear layer."""
    bias: Floats | None
    """[out]; None where the file has none."""
    norm: NormWeights | None


def weighted_layers(graph: Graph) -> list[WeightedLayer]:
    """List the layers that have weights.

    A bias may be an input of its operator, or a constant that the next one adds.

    Raises:
        ValueError: A kernel or a statistic is not a constant: the file holds no trained network of the known kind.
    """
    return _Reader(graph).layers()


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._constants: dict[str, Array] = dict(graph.constants)
        self._layers: list[WeightedLayer] = []
        self._by_output: dict[str, int] = {}

    def layers(self) -> list[WeightedLayer]:
        for node in self._graph.nodes:
            match node.kind:
                case Kind.RESHAPE:
                    self._reshape(node)
                case Kind.CONVOLUTION | Kind.LINEAR:
                    self._weighted(node)
                case Kind.ADD:
                    self._add(node)
                case Kind.NORM:
                    self._norm(node)
                case Kind.OTHER:
                    pass
        return self._layers

    def _reshape(self, node: Node) -> None:
        value = self._constants.get(node.inputs[0])
        if value is not None:
            # Only biases are reshaped: to [1, out, 1, 1], ready to be added.
            self._constants[node.output] = value.reshape(1, -1, 1, 1) if value.ndim == 1 else value

    def _weighted(self, node: Node) -> None:
        weight = self._constants.get(node.inputs[1])
        if node.kind is Kind.LINEAR and (weight is None or weight.ndim != 2):
            return
        if weight is None:
            raise ValueError(f"the weight {node.inputs[1]!r} of {node.name or 'a convolution'} is not a constant")
        bias = self._floats(node.inputs[2]).reshape(-1) if len(node.inputs) > 2 else None
        kind: Literal["convolution", "linear"] = "linear" if node.kind is Kind.LINEAR else "convolution"
        self._append(node, WeightedLayer(kind, node.inputs[1], weight.astype(np.float32), bias, None))

    def _add(self, node: Node) -> None:
        for summand, added in (node.inputs[:2], node.inputs[1::-1]):
            index, value = self._by_output.get(summand), self._constants.get(added)
            if index is None or value is None:
                continue
            layer = self._layers[index]
            assert layer.weight is not None
            outputs = layer.weight.shape[0 if layer.kind == "convolution" else 1]
            # A single number for many channels belongs to an activation such as h-swish.
            whole = value.shape == (1, outputs, 1, 1) or (value.size == outputs > 1)
            if layer.bias is None and layer.norm is None and whole:
                self._layers[index] = WeightedLayer(
                    layer.kind, layer.name, layer.weight, value.reshape(-1).astype(np.float32), None
                )
                self._by_output[node.output] = index

    def _norm(self, node: Node) -> None:
        norm = NormWeights(*(self._floats(name) for name in node.inputs[1:5]))
        index = self._by_output.pop(node.inputs[0], None)
        if index is None:
            self._append(node, WeightedLayer("norm", node.inputs[1], None, None, norm))
            return
        layer = self._layers[index]
        self._layers[index] = WeightedLayer(layer.kind, layer.name, layer.weight, layer.bias, norm)

    def _append(self, node: Node, layer: WeightedLayer) -> None:
        if layer.kind != "norm":
            self._by_output[node.output] = len(self._layers)
        self._layers.append(layer)

    def _floats(self, name: str) -> Floats:
        if name not in self._constants:
            raise ValueError(f"the tensor {name!r} is not a constant of the file")
        return self._constants[name].astype(np.float32)
