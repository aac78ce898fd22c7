"""One recording: arrays and what made them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class NotCovered(Exception):  # noqa: N818 (an outcome, no error)
    """The product has no counterpart of what this file records."""


@dataclass(frozen=True)
class GoldenFile:
    """Content of an `.npz` in the golden format."""

    meta: dict[str, Any]
    """What made the arrays: model, seed, shape, constants of the weight rule, arguments."""
    arrays: dict[str, Array]
    """Everything else, by key."""

    @property
    def in_training_mode(self) -> bool:
        """Whether BatchNorm used the statistics of the batch."""
        return str(self.meta.get("mode", "eval")).startswith("train")

    def has(self, *keys: str) -> bool:
        return all(key in self.arrays for key in keys)


def read(path: Path) -> GoldenFile:
    """Read a recording; raise `NotCovered` when it has no `meta`."""
    with np.load(path, allow_pickle=False) as stored:
        if "meta" not in stored.files:
            raise NotCovered("the file has no meta")
        meta = json.loads(str(stored["meta"]))
        return GoldenFile(meta, {key: stored[key] for key in stored.files if key != "meta"})
