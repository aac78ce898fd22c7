"""Checkpoints: written whole or not at all, read back exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import paddle

from picoseek_training.paddle_import.pickled_state import read_pdparams


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


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is a `.pdparams` file that holds something else than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if path.suffix == ".pdparams":
        # Not ours, perhaps: read without running what is in it.
        return dict(read_pdparams(path))
    content: dict[str, Any] = paddle.load(str(path), return_numpy=True)
    return content
