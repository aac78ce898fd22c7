"""The import: a file of official weights in, a network with its weights and a report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn

from picoseek_training.network_checkpoint import NetworkCheckpoint, State
from picoseek_training.onnx_import.graph_reader import read_onnx_graph
from picoseek_training.paddle_import.pickled_state import read_pdparams
from picoseek_training.paddle_import.program import find_program, read_program
from picoseek_training.weight_graph.graph import Graph
from picoseek_training.weight_graph.weighted_layers import WeightedLayer, weighted_layers
from picoseek_training.weight_import.deploying import default_side
from picoseek_training.weight_import.filling import fill
from picoseek_training.weight_import.recognition import (
    UnknownNetworkError,
    all_names,
    recognise_layers,
    recognise_state,
)

_HEAD = "head."

Pictures = Callable[[tuple[int, int]], Sequence[Tensor]]
"""Makes batches [N, 3, height, width] of normalised pictures of a size."""


@dataclass(frozen=True)
class ImportedNetwork:
    """What came in."""

    checkpoint: NetworkCheckpoint
    network: nn.Layer
    """With its weights, in evaluation mode."""
    size: tuple[int, int] | None
    """Height and width in pixels for which the file was made, if it says so."""
    looks: int
    """In so many sizes the file looks at its picture, with the same weights; the network looks once."""
    folded: int
    """BatchNorm layers that the file had folded into its convolutions."""


def import_weights(source: Path, network: str | None = None, pictures: Pictures | None = None) -> ImportedNetwork:
    """Read official weights.

    Args:
        source: A `.pdparams` file, an ONNX file, or a folder with an inference model.
        network: Name in the registry; None recognises it.
        pictures: For statistics of BatchNorm layers that the file has folded; without them these layers get mean 0 and
            variance 1, which computes the same but is a bad start for training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or holds no known network; the message lists the differences to the nearest.
    """
    names = all_names(network)
    try:
        if source.is_dir():
            return _from_graph(read_program(*find_program(source)), names, source, pictures)
        if not source.is_file():
            raise FileNotFoundError(f"{source} does not exist")
        if source.suffix == ".onnx":
            return _from_graph(read_onnx_graph(source), names, source, pictures)
        if source.suffix == ".pdparams":
            return _from_state(source, names)
    except UnknownNetworkError as error:
        raise UnknownNetworkError(f"{source}: {error}") from error
    raise ValueError(f"{source} is neither a .pdparams file, nor an .onnx file, nor a folder with an inference model")


def _from_state(source: Path, names: Sequence[str]) -> ImportedNetwork:
    tensors = read_pdparams(source)
    if any(name.startswith(("neck.fc.", "neck.feat_bn.")) for name in tensors):
        # The classes of a recognition model are those of its training set; nothing else needs them.
        tensors = {name: value for name, value in tensors.items() if not name.startswith(_HEAD)}
    choice = recognise_state({name: value.shape for name, value in tensors.items()}, names)
    layer = choice.build()
    state: Any = {name: value.astype(np.float32) for name, value in tensors.items()}
    layer.set_state_dict(state)
    return _imported(choice.name, dict(choice.settings), layer, source)


def _from_graph(graph: Graph, names: Sequence[str], source: Path, pictures: Pictures | None) -> ImportedNetwork:
    listed = weighted_layers(graph)
    layers = _once(listed)
    choice, layer, steps = recognise_layers(layers, names, graph.factors)
    size = graph.picture_size
    side = default_side(choice.name)
    needed = pictures is not None and any(each.kind == "convolution" and each.norm is None for each in layers)
    batches = pictures(size or (side, side)) if pictures is not None and needed else ()
    folded = fill(layer, steps, layers, batches)
    looks = len(listed) // len(layers)
    return _imported(choice.name, dict(choice.settings), layer, source, size, folded, looks)


def _once(layers: Sequence[WeightedLayer]) -> Sequence[WeightedLayer]:
    """Return the layers of one look, where a network looks at its input in several sizes with the same weights."""
    names = [layer.name for layer in layers]
    for looks in range(len(names), 1, -1):
        if names == names[: len(names) // looks] * looks:
            return layers[: len(names) // looks]
    return layers


def _imported(
    name: str,
    settings: dict[str, object],
    layer: nn.Layer,
    source: Path,
    size: tuple[int, int] | None = None,
    folded: int = 0,
    looks: int = 1,
) -> ImportedNetwork:
    layer.eval()
    state: State = {key: _floats(value) for key, value in layer.state_dict().items()}
    side = size[0] if size is not None and size[0] == size[1] else None
    return ImportedNetwork(NetworkCheckpoint(name, settings, state, source.name, side), layer, size, looks, folded)


def _floats(value: Tensor) -> NDArray[np.float32]:
    return value.numpy().astype(np.float32)
