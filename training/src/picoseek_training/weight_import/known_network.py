"""ONNX files of which one knows what network they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import paddle
from paddle import Tensor, nn

from picoseek_training.onnx_import.graph_reader import read_onnx_graph
from picoseek_training.weight_graph.weighted_layers import weighted_layers
from picoseek_training.weight_import.execution import trace_layers
from picoseek_training.weight_import.filling import fill

_TRACE_SIDE = 64


def load_onnx_weights(network: nn.Layer, path: Path, images: Sequence[Tensor]) -> None:
    """Fill a network with the weights of a file; afterwards it computes in evaluation what the file computes.

    Args:
        network: Takes its weights; it must run its layers in the order of the graph.
        path: ONNX file.
        images: Batches [N, 3, H, W] of normalised real pictures, for statistics of BatchNorm layers that the file has
            folded, see `fill`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file, or its layers differ from the network's in number or shape.
    """
    layers = weighted_layers(read_onnx_graph(path))
    steps = trace_layers(network, paddle.zeros([1, 3, _TRACE_SIDE, _TRACE_SIDE]))
    try:
        fill(network, steps, layers, images)
    except ValueError as error:
        raise ValueError(f"{path} holds another network: {error}") from error
