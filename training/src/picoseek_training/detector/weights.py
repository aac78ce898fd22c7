"""Weights of a detector, in and out of checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picoseek_training.checkpoint import load
from picoseek_training.networks.picodet import PICODET_CONFIGS, PicoDet


def state_of(detector: PicoDet) -> dict[str, NDArray[np.float32]]:
    """Return all entries of a detector's state as arrays."""
    return {key: value.numpy().astype(np.float32) for key, value in detector.state_dict().items()}


def load_averaged(path: Path, start: Path | None = None, start_share: float = 0.0) -> PicoDet:
    """Build the detector of one class from a checkpoint's averaged weights.

    Interpolating with the weights that a fine-tuning started from gives back much of what it forgot, for little of
    what it learned (WiSE-FT, arXiv:2109.01903).

    Args:
        path: Checkpoint.
        start: Checkpoint of the start.
        start_share: Share of the start's weights, 0 to 1.

    Raises:
        FileNotFoundError: A checkpoint is missing.
    """
    state = load(path)["averaged"]
    if start is not None and start_share > 0.0:
        first = load(start)["averaged"]
        state = {
            key: np.float32(1.0 - start_share) * value + np.float32(start_share) * first[key]
            for key, value in state.items()
        }
    detector = PicoDet(replace(PICODET_CONFIGS["picodet_xs"], num_classes=1))
    detector.set_state_dict(state)
    detector.eval()
    return detector
