"""Which convolutions a network runs, in which order, and which BatchNorm follows each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn


@dataclass(frozen=True)
class ConvolutionStep:
    """A convolution as the network executes it."""

    name: str
    """Structured name of the layer, as in the state dict."""
    convolution: nn.Conv2D
    norm: nn.BatchNorm2D | None
    """The BatchNorm that takes the convolution's output, if one does."""


def trace_convolutions(network: nn.Layer, image: Tensor) -> list[ConvolutionStep]:
    """Run the network once on `image` [N, 3, H, W] and list its convolutions in order of execution."""
    visited: list[tuple[str, nn.Layer]] = []
    names = {id(layer): name for name, layer in network.named_sublayers()}

    def visit(layer: nn.Layer, _inputs: object) -> Any:
        visited.append((names[id(layer)], layer))

    handles = [
        layer.register_forward_pre_hook(visit)
        for layer in network.sublayers()
        if isinstance(layer, nn.Conv2D | nn.BatchNorm2D)
    ]
    try:
        with paddle.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()

    followers = [layer for _, layer in visited[1:]] + [None]
    return [
        ConvolutionStep(name, layer, follower if isinstance(follower, nn.BatchNorm2D) else None)
        for (name, layer), follower in zip(visited, followers, strict=True)
        if isinstance(layer, nn.Conv2D)
    ]
