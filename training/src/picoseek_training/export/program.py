"""From a network to Paddle's inference files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.static import InputSpec as TensorSpec

import picoseek_training
from picoseek_training.export.stored_weights import Precision, store_weights
from picoseek_training.networks.recognition import RecModel
from picoseek_training.networks.reparameterisation import re_parameterize

STEM = "inference"
"""Name of the files before their suffix; PaddleX accepts no other."""
PROGRAM, WEIGHTS = f"{STEM}.json", f"{STEM}.pdiparams"


@dataclass(frozen=True)
class NetworkInput:
    """An input of a network, float32."""

    name: str
    shape: tuple[int | None, ...]
    """None where any size will do: the batch."""


class _Embedding(nn.Layer):
    """The embedding alone of a recognition model."""

    def __init__(self, model: RecModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.model(image).features
        return features


def write_program(
    network: nn.Layer, inputs: Sequence[NetworkInput], folder: Path, precision: Precision = Precision.FLOAT32
) -> tuple[Path, Path]:
    """Write `inference.json` and `inference.pdiparams`, or `inference.pdmodel` where Paddle runs its old API.

    Parallel branches of the network are fused first, and its weights stored as asked, both in place.

    Returns:
        The program and the weights file, in `folder`.
    """
    network.eval()
    re_parameterize(network)
    store_weights(network, precision)
    # Tracing suffices, as the forward passes have no control flow on tensors, and Paddle's rewriting of source code
    # does not understand zip(strict=True).
    paddle.jit.ignore_module([picoseek_training])
    specs: Any = [TensorSpec(list(each.shape), "float32", each.name) for each in inputs]
    layer = _Embedding(network) if isinstance(network, RecModel) else network
    paddle.jit.save(paddle.jit.to_static(layer, input_spec=specs, full_graph=True), str(folder / STEM))
    program = folder / PROGRAM
    return program if program.is_file() else program.with_suffix(".pdmodel"), folder / WEIGHTS
