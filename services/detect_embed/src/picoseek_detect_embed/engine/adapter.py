"""What an inference library must offer to run in an engine process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.engine.spec import EngineSpec


class EngineAdapter(Protocol):
    """A loaded network. It is made from an EngineSpec in the engine process and used by one thread."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs in the network's order."""
        ...

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Run one batch.

        Args:
            inputs: [N, ...] float32 contiguous array by input name.

        Returns:
            Every output in the network's order; the first dimension need not be N.
        """
        ...


def open_adapter(spec: EngineSpec) -> EngineAdapter:
    """Load the network of a spec with the adapter that it names."""
    module, _, name = spec.adapter.partition(":")
    adapter: EngineAdapter = getattr(importlib.import_module(module), name)(spec)
    return adapter
