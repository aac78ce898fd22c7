"""Turns a crop into a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, EmbedderOutput

from picoseek_detect_embed.engine.errors import BatchError
from picoseek_detect_embed.models.served_model import EngineOptions, Inference, ServedModel

_LEAST_NORM = 1e-12


@dataclass(frozen=True)
class Vector:
    """A vector as it travels."""

    data: bytes
    """Little-endian float32, or packed bits, most significant first."""
    dimension: int
    """Number of components."""
    binary: bool
    """Whether the components are bits."""
    space: str
    """Digest of the embedding space."""


class Embedder:
    """An embedding model that is being served."""

    def __init__(self, bundle: Bundle, options: EngineOptions, pool: Executor, on_change: Callable[[], None]) -> None:
        """Take memory; `model.run` starts the engines. See ServedModel for the arguments."""
        assert isinstance(bundle.manifest.output, EmbedderOutput)
        self.output = bundle.manifest.output
        self.space = bundle.space
        self.model = ServedModel(
            bundle, options, pool, extra_inputs=(), outputs=(0,), split=split_features, on_change=on_change
        )

    async def embed(self, crop: NDArray[np.uint8], deadline: float) -> tuple[Vector, Inference]:
        """Return the vector of a crop.

        Args:
            crop: [height, width, 3] uint8, BGR, at least one pixel.
            deadline: by the event loop's clock, in seconds.

        Raises:
            TimeoutError: the deadline passed before an engine was free.
            EngineError: the batch failed, or the network returned no usable vector.
        """

        def prepare(out: NDArray[np.float32]) -> None:
            self.model.preprocessor(crop, out)

        inference = await self.model.infer(prepare, {}, deadline)
        return self._vector(inference.output), inference

    def _vector(self, features: NDArray[np.float32]) -> Vector:
        if features.shape != (self.output.dimension,):
            raise BatchError(
                f"embedder {self.model.name} returned {features.shape} and not {self.output.dimension} components"
            )
        norm = float(np.linalg.norm(features))
        if not np.isfinite(norm):
            raise BatchError(f"embedder {self.model.name} returned a vector that is not finite")
        if self.output.normalize:
            features = features / max(norm, _LEAST_NORM)
        data = np.packbits(features > 0) if self.output.binarize else features.astype("<f4", copy=False)
        return Vector(data.tobytes(), self.output.dimension, self.output.binarize, self.space)


def split_features(outputs: Sequence[NDArray[Any]], size: int) -> list[NDArray[Any]]:
    """Cut [size, ...] features into [dimension] float32 a crop."""
    return list(outputs[0].reshape(size, -1))
