"""Randomness inside a step, such as dropout, that depends on the seed and the step alone."""

from __future__ import annotations

import numpy as np
import paddle


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed Paddle for one step of one process, so that a resumed run draws what the uninterrupted one would."""
    paddle.seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))
