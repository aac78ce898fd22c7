"""What an engine process is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

PADDLE = "picoseek_detect_embed.engine.paddle_adapter:PaddleAdapter"
"""Adapter for Paddle Inference."""


@dataclass(frozen=True)
class InputTensor:
    """An input of the network, without its batch dimension."""

    name: str
    """Name in the network."""
    shape: tuple[int, ...]
    """Shape of one item; the type is float32."""

    @property
    def nbytes(self) -> int:
        """Size of one item in bytes."""
        size = 4
        for side in self.shape:
            size *= side
        return size


@dataclass(frozen=True)
class EngineSpec:
    """A network and how to run it."""

    program: str
    """Path of the network."""
    weights: str
    """Path of the weights."""
    inputs: tuple[InputTensor, ...]
    """Inputs in the order of a slot's memory."""
    outputs: tuple[str | int, ...]
    """Outputs to return, by name or by position."""
    buckets: tuple[int, ...]
    """Batch sizes, ascending; each is run once before the engine counts as ready."""
    slots: int
    """Number of items for which the shared memory has room."""
    adapter: str = PADDLE
    """Class that runs the network, as "module:class"."""
    device: Literal["cpu", "gpu"] = "cpu"
    """Where it runs."""
    device_index: int = 0
    """Which GPU."""
    threads: int = 1
    """CPU threads of one engine process."""
    gpu_memory_mb: int = 1024
    """GPU memory taken at the start, in MiB."""
    tensorrt: bool = False
    """Let TensorRT build the parts of the network that it can (GPU only)."""

    def to_json(self) -> str:
        """Return the form in which it is sent to the process."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> EngineSpec:
        """Read what `to_json` wrote."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(EngineSpec)
