"""Checkpoints: written whole or not at all, read back exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.paddle_import.pickled_state import read_pdparams, read_plain_pickle

State = dict[str, NDArray[np.float32]]

_ADVICE = "give another one, or remove it to begin anew"


def save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint onto the disk; an interrupted write leaves the previous one in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    paddle.save(content, str(scratch))
    _sync(scratch)
    os.replace(scratch, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path, *needed: str) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run, whoever wrote it.

    Args:
        path: The file; a `.pdparams` file gives its tensors by name.
        needed: Entries that it must have.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, no checkpoint, or lacks an entry.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = read_pdparams(path) if path.suffix == ".pdparams" else read_plain_pickle(path)
    except PaddleFileError as error:
        raise ValueError(f"{error}; {_ADVICE}") from error
    lacking = [f"`{name}`" for name in needed if not isinstance(content, dict) or name not in content]
    if lacking or not isinstance(content, dict):
        what = f"has no {', '.join(lacking)}" if isinstance(content, dict) else "holds no entries"
        raise ValueError(f"{path} is no checkpoint of such a training: it {what}; {_ADVICE}")
    return content


def load_averaged_weights(network: nn.Layer, path: Path) -> State:
    """Put the averaged weights of a checkpoint into a network, and return them.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no checkpoint with averaged weights, or one of another network.
    """
    averaged = load(path, "averaged")["averaged"]
    state: Any = averaged if isinstance(averaged, dict) else {}
    own = network.state_dict()
    fitting = sum(name in state and np.shape(state[name]) == tuple(tensor.shape) for name, tensor in own.items())
    if fitting < len(own):
        raise ValueError(f"{path} holds another network than the recipe's: {fitting} of {len(own)} tensors fit")
    network.set_state_dict(state)
    return dict(state)
