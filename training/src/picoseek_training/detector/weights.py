"""Weights of a detector, in and out of checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek_training.checkpoint import load, load_averaged_weights
from picoseek_training.networks.picodet import PICODET_CONFIGS, PicoDet


def state_of(detector: PicoDet) -> dict[str, NDArray[np.float32]]:
    """Return all entries of a detector's state as arrays."""
    return {key: value.numpy().astype(np.float32) for key, value in detector.state_dict().items()}


def load_weights(detector: PicoDet, path: Path, key: str, whole: bool = False) -> list[str]:
    """Put trained weights into a detector and return the names of its tensors that the file does not have.

    Args:
        detector: As it was made.
        path: A detector's or a backbone's weights: `.pdparams`, or a checkpoint of ours.
        key: Of the recipe, for the messages.
        whole: Whether every tensor must be there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{key}: {path} does not exist")
    content = load(path)
    state = content.get("averaged", content)
    own = detector.state_dict()
    fitting: dict[str, NDArray[np.float32]] = {}
    for name, value in state.items():
        for known in (name, f"backbone.{name}"):
            if known in own and list(own[known].shape) == list(np.shape(value)):
                fitting[known] = value
    missing = sorted(own.keys() - fitting.keys())
    of_backbone = sum(name.startswith("backbone.") for name in own)
    if (whole and missing) or 2 * len(fitting) < of_backbone:
        raise ValueError(f"{key}: {path} holds another network: {len(fitting)} of {len(own)} tensors fit")
    for name, value in fitting.items():
        own[name].set_value(np.asarray(value, np.float32))
    return missing


def load_averaged(
    path: Path,
    start: Path | None = None,
    start_share: float = 0.0,
    network: str = "picodet_xs",
    further_sizes: tuple[int, ...] = (),
) -> PicoDet:
    """Build the detector of one class from a checkpoint's averaged weights.

    Interpolating with the weights that a fine-tuning started from gives back much of what it forgot, for little of
    what it learned (WiSE-FT, arXiv:2109.01903).

    Args:
        path: Checkpoint.
        start: Checkpoint of the start.
        start_share: Share of the start's weights, 0 to 1.
        network: Name in the registry.
        further_sizes: See PicoDetConfig.

    Raises:
        FileNotFoundError: A checkpoint is missing.
        ValueError: One is damaged, no checkpoint of a training, or one of another network.
    """
    detector = PicoDet(replace(PICODET_CONFIGS[network], num_classes=1, further_sizes=further_sizes))
    state = load_averaged_weights(detector, path)
    if start is not None and start_share > 0.0:
        first = load_averaged_weights(detector, start)
        mixed: Any = {
            key: np.float32(1.0 - start_share) * state[key] + np.float32(start_share) * first[key]
            for key in detector.state_dict()
        }
        detector.set_state_dict(mixed)
    detector.eval()
    return detector
