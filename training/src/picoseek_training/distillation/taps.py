"""Outputs of inner layers of a network, by the layers' names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paddle import nn


class Taps:
    """Keeps what the named layers gave in the last forward pass."""

    def __init__(self, network: nn.Layer, names: Iterable[str], key: str = "layer") -> None:
        """Watch layers of a network.

        Raises:
            ValueError: The network has no such layer; the message names the key.
        """
        self.outputs: dict[str, Any] = {}
        layers = dict(network.named_sublayers())
        for name in names:
            if name not in layers:
                raise ValueError(f"{key}: the network has no layer {name!r}; it has {_near(name, layers)}")
            layers[name].register_forward_post_hook(self._keeper(name))

    def _keeper(self, name: str) -> Any:
        def keep(_layer: nn.Layer, _inputs: Any, output: Any) -> None:
            self.outputs[name] = output

        return keep


def _near(name: str, layers: Iterable[str]) -> str:
    """Layers beside the one that is missing, or the outermost."""
    parent = name.rpartition(".")[0]
    beside = [layer for layer in layers if layer.rpartition(".")[0] == parent]
    return ", ".join(beside or [layer for layer in layers if "." not in layer])
