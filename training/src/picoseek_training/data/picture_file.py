"""Pictures read from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import PictureError, decode_picture


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture file and turn it upright: [height, width, 3] uint8 BGR.

    Raises:
        FileNotFoundError: There is no such file.
        PictureError: It cannot be decoded; the message names the file.
    """
    try:
        return decode_picture(path.read_bytes())
    except PictureError as error:
        raise PictureError(error.reason, f"{path}: {error.message}") from error
