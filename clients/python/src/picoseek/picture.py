"""Pictures in the forms in which a caller may have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picoseek.box import Region
from picoseek.errors import InvalidArgumentError

Pixels = NDArray[np.uint8]
"""[height, width, 3] uint8, blue green red, upright, as OpenCV reads it."""

PictureSource = bytes | str | Path | Pixels
"""A JPEG, PNG, WebP or BMP file as bytes or by its path, or pixels."""


@dataclass(frozen=True)
class PictureInput:
    """A picture with a name and parts to look at."""

    picture: PictureSource
    """The picture."""
    id: str = ""
    """Caller's name of it; empty: its position in the call."""
    regions: Sequence[Region] = ()
    """Parts to embed whatever the detector finds."""


def read_picture_file(path: str | Path) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        InvalidArgumentError: it cannot be read or is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(
            f"{path} cannot be read: {error.strerror}", reason="PICTURE_UNREADABLE", metadata={"path": str(path)}
        ) from error
    if not data:
        raise InvalidArgumentError(f"{path} is empty", reason="PICTURE_EMPTY", metadata={"path": str(path)})
    return data
