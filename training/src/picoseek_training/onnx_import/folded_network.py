"""Loading an ONNX file with folded BatchNorm into a network of the same structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from picoseek_training.onnx_import.batch_norm import restore_statistics, set_folded
from picoseek_training.onnx_import.convolutions import read_convolutions
from picoseek_training.onnx_import.execution_order import trace_convolutions


def load_folded_onnx(network: nn.Layer, path: Path, images: Sequence[Tensor]) -> None:
    """Copy the convolutions of an ONNX file, in graph order, and restore the BatchNorm statistics from pictures.

    Afterwards the network in evaluation mode computes what the file computes.

    Args:
        network: Called with one batch of pictures; it must run its convolutions in the order of the graph.
        path: ONNX file without names of use, its BatchNorm folded.
        images: Normalised real pictures [N, 3, H, W]; a hundred give stable statistics.

    Raises:
        ValueError: The file's convolutions differ from the network's in number or shape, or there are no pictures.
    """
    if not images:
        raise ValueError("pictures are needed to measure the BatchNorm statistics")
    network.eval()
    steps = trace_convolutions(network, images[0])
    convolutions = read_convolutions(path)
    if len(steps) != len(convolutions):
        raise ValueError(f"{path} has {len(convolutions)} convolutions, the network {len(steps)}")

    folded: list[tuple[nn.BatchNorm2D, NDArray[np.float32]]] = []
    for step, source in zip(steps, convolutions, strict=True):
        if tuple(step.convolution.weight.shape) != source.weight.shape:
            raise ValueError(
                f"{source.name} of {path} is {source.weight.shape}, "
                f"{step.name} is {tuple(step.convolution.weight.shape)}"
            )
        step.convolution.weight.set_value(source.weight)
        if step.norm is not None:
            set_folded(step.norm, source.bias)
            folded.append((step.norm, source.bias))
        elif step.convolution.bias is not None:
            step.convolution.bias.set_value(source.bias)
    restore_statistics(network, folded, images)
