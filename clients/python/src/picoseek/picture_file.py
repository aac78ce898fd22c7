"""Picture files decoded and written here, for annotation; the services decode for themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from picoseek.errors import InvalidArgumentError
from picoseek.picture import Pixels
from picoseek.whole_file import write_whole


def decode_picture(data: bytes) -> Pixels:
    """Return the pixels of a picture file, upright (EXIF applied).

    Raises:
        InvalidArgumentError: it cannot be decoded.
    """
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InvalidArgumentError("it cannot be decoded", reason="PICTURE_UNDECODABLE")
    return np.asarray(pixels, dtype=np.uint8)


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write pixels as a file in the format of its ending.

    Raises:
        InvalidArgumentError: the ending is of no format that can be written.
        OSError: the file cannot be written; what was there before stays, and nothing half-written is left.
    """
    unwritable = f"{path} cannot be written as {path.suffix or 'a picture'}; use .jpg or .png"
    try:
        done, data = cv2.imencode(path.suffix, pixels)
    except cv2.error as error:
        raise InvalidArgumentError(unwritable) from error
    if not done:
        raise InvalidArgumentError(unwritable)
    write_whole(path, data.tobytes())
