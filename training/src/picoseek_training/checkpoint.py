"""Checkpoints: written whole or not at all, read back exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import paddle


def save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; an interrupted write leaves the previous one in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    paddle.save(content, str(scratch))
    os.replace(scratch, path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        FileNotFoundError: There is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    content: dict[str, Any] = paddle.load(str(path), return_numpy=True)
    return content
