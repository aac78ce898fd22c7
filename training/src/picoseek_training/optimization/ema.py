"""Exponential moving average of a model's state, as PaddleDetection keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from picoseek_training.bounds import Decay, Positive
from picoseek_training.configuration import STRICT

State = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EmaConfig:
    """How fast the average follows and when it starts anew."""

    __pydantic_config__ = STRICT

    decay: Decay = 0.9998
    """Upper bound of the decay (`threshold`), the decay itself (`normal`) or its limit (`exponential`)."""
    kind: Literal["threshold", "normal", "exponential"] = "threshold"
    """threshold: min(decay, (1 + t) / (10 + t)); exponential: decay * (1 - exp(-(t + 1) / gamma))."""
    gamma: Positive = 2000.0
    """Time constant of the exponential kind, in updates."""
    cycle: Annotated[int, Field(ge=-1)] = -1
    """After so many `apply` calls the average starts anew (Cycle-EMA); -1 or 0 never."""


class ModelEma:
    """Average of state dicts, started at zero and corrected for it (not for the exponential kind).

    The average covers every entry, BatchNorm statistics too.
    """

    def __init__(self, config: EmaConfig) -> None:
        self.config = config
        self.step = 0
        self.applied = 0
        self.decay = 0.0
        self._average: State = {}

    def update(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Take in the weights after an optimiser step."""
        self.decay = self._next_decay()
        for key, value in state.items():
            average = self._average.get(key)
            self._average[key] = np.float32(1.0 - self.decay) * value + (
                0.0 if average is None else np.float32(self.decay) * average
            )
        self.step += 1

    def apply(self) -> State:
        """Return the averaged weights for evaluation or saving, and count towards the cycle."""
        averaged = self.averaged()
        self.applied += 1
        if self.applied == self.config.cycle:
            self.step, self.applied = 0, 0
            self._average = {}
        return averaged

    def averaged(self) -> State:
        """Return the averaged weights; nothing changes."""
        if self.config.kind == "exponential" or self.step == 0:
            return {key: value.copy() for key, value in self._average.items()}
        correction = np.float32(1.0 - self.decay**self.step)
        return {key: value / correction for key, value in self._average.items()}

    def state_dict(self) -> dict[str, object]:
        """Everything that `load_state_dict` needs to go on exactly."""
        return {"step": self.step, "applied": self.applied, "decay": self.decay, "average": dict(self._average)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from a saved state."""
        step, applied, decay, average = (state[key] for key in ("step", "applied", "decay", "average"))
        assert isinstance(step, int) and isinstance(applied, int)
        assert isinstance(decay, float) and isinstance(average, dict)
        self.step, self.applied, self.decay, self._average = step, applied, decay, dict(average)

    def _next_decay(self) -> float:
        config, step = self.config, self.step
        if config.kind == "threshold":
            return min(config.decay, (1 + step) / (10 + step))
        if config.kind == "exponential":
            return config.decay * (1 - math.exp(-(step + 1) / config.gamma))
        return config.decay
