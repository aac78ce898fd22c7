"""Examples decoded, cropped and stretched to one square size, kept on disk so that training decodes them once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.example import Example
from picoseek_training.data.picture_file import read_picture


def stored_examples(examples: Sequence[Example], side: int, folder: Path) -> NDArray[np.uint8]:
    """Return the examples as [N, side, side, 3] uint8 RGB, mapped from disk; write them on the first call.

    The file is keyed by paths, boxes and side; a half-written one is never used.

    Raises:
        FileNotFoundError: a picture is missing.
        PictureError: a picture cannot be decoded.
    """
    key = hashlib.sha256(json.dumps([side, *((str(e.path), e.box) for e in examples)]).encode()).hexdigest()
    target = folder / f"examples-{key[:16]}.npy"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}.part")
        store = np.lib.format.open_memmap(scratch, "w+", np.uint8, (len(examples), side, side, 3))
        for index, example in enumerate(examples):
            store[index] = read_square(example, side)
        store.flush()
        os.replace(scratch, target)
    loaded: NDArray[np.uint8] = np.load(target, mmap_mode="r")
    return loaded


def read_square(example: Example, side: int) -> NDArray[np.uint8]:
    """Decode one example and stretch it (ratio not kept) to [side, side, 3] RGB."""
    resized = cv2.resize(read_region(example), (side, side), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized, dtype=np.uint8)


def read_region(example: Example) -> NDArray[np.uint8]:
    """Decode one example and cut it out: [height, width, 3] RGB.

    Raises:
        FileNotFoundError: The picture is missing.
        PictureError: It cannot be decoded.
    """
    picture = read_picture(example.path)
    if example.box is not None:
        x1, y1, x2, y2 = example.box
        picture = picture[y1:y2, x1:x2]
    return np.ascontiguousarray(picture[:, :, ::-1])
