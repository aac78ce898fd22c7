"""What a picture file is, in a few bytes: whether it decodes, its size, and two fingerprints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import PictureError, decode_picture

_GRID = 8


@dataclass(frozen=True)
class PictureState:
    """One picture file as a training would see it."""

    width: int
    """In pixels of the upright picture."""
    height: int
    digest: str
    """SHA-256 of the file."""
    gradients: int
    """64 bits: in a grid of 8 x 8, whether a cell is brighter than its right neighbour ("dHash", Krawetz 2013)."""
    colours: NDArray[np.uint8]
    """[8, 8, 3] mean colours of the cells."""


def inspect_picture(path: Path) -> PictureState:
    """Decode a picture and describe it.

    Raises:
        FileNotFoundError: There is no such file.
        PictureError: It cannot be decoded.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError("PICTURE_UNDECODABLE", f"the file cannot be read: {error.strerror}") from error
    picture = decode_picture(data)
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(cv2.resize(picture, (_GRID + 1, _GRID), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    bits = np.packbits(grey[:, :-1] > grey[:, 1:])
    colours = np.asarray(cv2.resize(picture, (_GRID, _GRID), interpolation=cv2.INTER_AREA), np.uint8)
    return PictureState(width, height, hashlib.sha256(data).hexdigest(), int.from_bytes(bits.tobytes(), "big"), colours)
