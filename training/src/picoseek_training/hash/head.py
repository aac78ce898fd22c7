"""The head that makes codes, and the file it is kept in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F

Matrix = NDArray[np.float32]


class HashHead(nn.Layer):
    """Vectors [N, D] of an embedder to [N, bits], one value a bit from -1 to 1; the bit is 1 where it is above 0."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dimension, bits)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return tanh of a linear map of the vectors, which are brought to unit norm first."""
        codes: Tensor = F.tanh(self.fc(F.normalize(vectors)))
        return codes

    def set_weights(self, weights: HeadWeights) -> None:
        """Take the weights of another head of the same size."""
        self.fc.weight.set_value(weights.weight)
        self.fc.bias.set_value(weights.bias)


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """A learned head."""

    weight: Matrix
    """[D, bits]."""
    bias: Matrix
    """[bits]."""
    space: str
    """Digest of the space of the vectors that it takes."""

    def codes(self, vectors: Matrix) -> NDArray[np.uint8]:
        """Return packed bits [N, bits / 8] of vectors [N, D], the first bit in the most significant place."""
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return np.packbits(unit @ self.weight + self.bias > 0, axis=1)

    def save(self, file: Path) -> None:
        """Write them; an interrupted write leaves what was there."""
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_name(f".{file.name}.{os.getpid()}.part")
        with scratch.open("wb") as stream:
            np.savez(stream, weight=self.weight, bias=self.bias, space=np.array(self.space))
        os.replace(scratch, file)

    @classmethod
    def load(cls, file: Path) -> HeadWeights:
        """Read them.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no head.
        """
        try:
            with np.load(file, allow_pickle=False) as content:
                weight, bias = content["weight"].astype(np.float32), content["bias"].astype(np.float32)
                space = str(content["space"])
        except (KeyError, ValueError, EOFError) as error:
            raise ValueError(f"{file} is no head of hash codes") from error
        if weight.ndim != 2 or bias.shape != weight.shape[1:]:
            raise ValueError(f"{file} is no head of hash codes: its arrays do not fit together")
        return cls(weight, bias, space)
