"""An embedder of a bundle as a layer, and the network that makes codes of pictures with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import paddle
from paddle import Tensor, nn
from picoseek_bundle import Bundle

from picoseek_training.hash.head import HashHead


class HashNetwork(nn.Layer):
    """Pictures [N, 3, H, W] to [N, bits], one value a bit from -1 to 1."""

    def __init__(self, embedder: nn.Layer, head: HashHead) -> None:
        super().__init__()
        self.embedder = embedder
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """Return the codes before their signs are taken."""
        codes: Tensor = self.head(self.embedder(image))
        return codes


def embedder_layer(bundle: Bundle) -> nn.Layer:
    """Return the network of an embedder's bundle, pictures [N, 3, H, W] to vectors [N, D], not normalised.

    It can be trained further after `train()`; until then it runs without gradient. What it computes is the same:
    BatchNorm keeps the statistics with which it was exported.

    Raises:
        ValueError: Paddle cannot read it as a layer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # Paddle finds program and weights by one common stem.
        stem = Path(scratch) / "embedder"
        stem.with_suffix(bundle.program.suffix).symlink_to(bundle.program.resolve())
        stem.with_suffix(".pdiparams").symlink_to(bundle.weights.resolve())
        try:
            layer: nn.Layer = paddle.jit.load(str(stem))
        except (ValueError, RuntimeError, OSError) as error:
            raise ValueError(f"{bundle.folder}: its network cannot be trained or extended: {error}") from error
    return layer
