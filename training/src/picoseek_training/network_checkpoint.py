"""Checkpoints that say which network they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from picoseek_training import checkpoint
from picoseek_training.networks import registry

State = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class NetworkCheckpoint:
    """A network of the registry with its weights."""

    network: str
    """Its name."""
    settings: Mapping[str, Any]
    """Settings of its configuration that differ from the default; plain values."""
    state: State
    """Its weights; stored as `averaged`, the key of trained checkpoints."""
    source: str = ""
    """Where they come from."""
    side: int | None = None
    """Side of the square pictures, in pixels, for which the file was made that they come from, if it said so."""

    def build(self) -> nn.Layer:
        """Make the network with these weights, in evaluation mode."""
        network = registry.create(self.network, **self.settings)
        state: Any = dict(self.state)
        network.set_state_dict(state)
        network.eval()
        return network

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        checkpoint.save(
            {
                "network": self.network,
                "settings": dict(self.settings),
                "averaged": self.state,
                "source": self.source,
                "side": self.side,
            },
            path,
        )


def load_network_checkpoint(path: Path) -> NetworkCheckpoint:
    """Read a checkpoint that `picoseek-train import` wrote.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, or another kind of checkpoint.
    """
    content = checkpoint.load(path)
    kinds = {"network": str, "settings": dict, "averaged": dict}
    if not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
        raise ValueError(
            f"{path} does not say which network it holds; write it with `picoseek-train import`, "
            "or export a training's checkpoint by its recipe"
        )
    return NetworkCheckpoint(
        content["network"],
        content["settings"],
        content["averaged"],
        str(content.get("source", "")),
        content.get("side"),
    )
