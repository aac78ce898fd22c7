"""Learning rates as functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class DetectionCosine:
    """PaddleDetection's schedule: linear warm-up from a fraction of the rate, then half a cosine down to zero."""

    base_rate: float
    warmup_steps: int
    total_steps: int
    """Where the cosine reaches zero."""
    start_factor: float = 0.1
    """Fraction of the base rate at step 0."""

    def __call__(self, step: int) -> float:
        """Rate of the given step, counted from 0."""
        if step <= self.warmup_steps and self.warmup_steps > 0:
            progress = step / self.warmup_steps
            return self.base_rate * (self.start_factor * (1 - progress) + progress)
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.base_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True)
class ClassificationCosine:
    """PaddleClas's schedule: linear warm-up from zero, then half a cosine down to zero over the remaining steps."""

    base_rate: float
    warmup_steps: int
    total_steps: int
    """Where the cosine reaches zero."""

    def __call__(self, step: int) -> float:
        """Rate of the given step, counted from 0."""
        if step < self.warmup_steps:
            return self.base_rate * step / self.warmup_steps
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.base_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
