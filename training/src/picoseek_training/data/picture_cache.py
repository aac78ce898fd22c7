"""Decoded and resized pictures of a data set, kept on disk so that training does not decode them again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.data.picture_file import read_picture

_WORKERS = 2


def cached_pictures(paths: Sequence[Path], preprocessor: Preprocessor, folder: Path) -> NDArray[np.uint8]:
    """Return the pictures at the preprocessor's input size, [N, height, width, 3] uint8 BGR, mapped from disk.

    The cache is keyed by the paths, their sizes in bytes and the input specification; a half-written one is never
    used.

    Raises:
        FileNotFoundError: A picture is missing.
        PictureError: A picture cannot be decoded.
    """
    listing = [(str(path), path.stat().st_size) for path in paths]
    key = json.dumps([listing, preprocessor.spec.model_dump(mode="json")])
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(paths, preprocessor, file)
    pictures: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return pictures


def _write(paths: Sequence[Path], preprocessor: Preprocessor, file: Path) -> None:
    scratch = file.with_suffix(f".{os.getpid()}.part")
    _, height, width = preprocessor.shape
    pictures = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(paths), height, width, 3))

    def load(index: int) -> None:
        pictures[index] = preprocessor.resize(read_picture(paths[index]))

    with ThreadPoolExecutor(_WORKERS) as pool:
        for _ in pool.map(load, range(len(paths))):
            pass
    pictures.flush()
    os.replace(scratch, file)
