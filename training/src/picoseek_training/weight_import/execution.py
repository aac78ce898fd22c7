"""How networks of the registry are called with pictures alone, and which of their layers with weights then run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn

from picoseek_training.networks.picodet import PicoDet
from picoseek_training.networks.recognition import RecModel


@dataclass(frozen=True)
class LayerStep:
    """A layer as the network executes it."""

    name: str
    """Structured name, as in the state dict."""
    layer: nn.Layer
    """`Conv2D`, `Linear`, or a `BatchNorm1D` by itself."""
    norm: nn.BatchNorm2D | None
    """The BatchNorm that takes a convolution's output, if one does."""


def run_on_pictures(network: nn.Layer, image: Tensor) -> dict[str, Tensor]:
    """Return what a network makes of pictures [N, 3, H, W]: a detector's raw maps, an embedding, or logits."""
    if isinstance(network, PicoDet):
        maps = network.head_maps(image)
        return {
            **{f"classes {level}": value for level, value in enumerate(maps.classes)},
            **{f"distributions {level}": value for level, value in enumerate(maps.distributions)},
        }
    if isinstance(network, RecModel):
        return {"features": network(image).features}
    return {"output": network(image)}


def trace_layers(network: nn.Layer, image: Tensor) -> list[LayerStep]:
    """Run the network once on `image` [N, 3, H, W] and list its layers with weights in order of execution."""
    names = {id(layer): name for name, layer in network.named_sublayers()}
    visited: list[nn.Layer] = []

    def visit(layer: nn.Layer, _inputs: object) -> Any:
        visited.append(layer)

    handles = [
        layer.register_forward_pre_hook(visit)
        for layer in network.sublayers()
        if isinstance(layer, nn.Conv2D | nn.BatchNorm2D | nn.BatchNorm1D | nn.Linear)
    ]
    network.eval()
    try:
        with paddle.no_grad():
            run_on_pictures(network, image)
    finally:
        for handle in handles:
            handle.remove()
    steps: list[LayerStep] = []
    for layer, follower in zip(visited, [*visited[1:], None], strict=True):
        if not isinstance(layer, nn.BatchNorm2D):
            steps.append(LayerStep(names[id(layer)], layer, follower if isinstance(follower, nn.BatchNorm2D) else None))
    return steps
