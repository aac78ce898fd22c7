"""Pictures and regions as messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from picoseek_protos.v1 import picture_pb2

from picoseek.box import Box, Region
from picoseek.errors import InvalidArgumentError
from picoseek.picture import PictureInput, PictureSource, read_picture_file
from picoseek.wire.messages import make, require


def picture_message(source: PictureSource) -> picture_pb2.Picture:
    """Return the message of a picture; a path is read.

    Raises:
        InvalidArgumentError: the file cannot be read, or it is no picture: pixels are [height, width, 3] uint8.
    """
    if isinstance(source, bytes):
        return picture_pb2.Picture(encoded=source)
    if isinstance(source, str | Path):
        return picture_pb2.Picture(encoded=read_picture_file(source))
    require("a picture", source, np.ndarray, "the bytes of a file, a path, or an array of pixels")
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
        raise InvalidArgumentError(
            f"pixels are [height, width, 3] uint8 in BGR order, not {list(source.shape)} {source.dtype}",
            reason="RAW_LAYOUT_INVALID",
        )
    height, width = source.shape[:2]
    raw = picture_pb2.RawImage(format=picture_pb2.PIXEL_FORMAT_BGR, width=width, height=height, data=source.tobytes())
    return picture_pb2.Picture(raw=raw)


def region_messages(regions: Sequence[Region]) -> list[picture_pb2.Region]:
    """Return the messages of regions."""
    return [make(picture_pb2.Region, id=region.id, box=box_message(region.box)) for region in regions]


def box_message(box: Box) -> picture_pb2.Box:
    """Return the message of a box."""
    return make(picture_pb2.Box, x1=box.x1, y1=box.y1, x2=box.x2, y2=box.y2)


def box_from(message: picture_pb2.Box) -> Box:
    """Return a box."""
    return Box(message.x1, message.y1, message.x2, message.y2)


def as_inputs(pictures: Sequence[PictureInput | PictureSource]) -> list[PictureInput]:
    """Return pictures with what may be said about them.

    Raises:
        InvalidArgumentError: there are none, or a single one was given instead of a list.
    """
    require("pictures", pictures, Sequence, "a list of pictures")
    if not len(pictures):
        raise InvalidArgumentError("no pictures were given", reason="REQUEST_EMPTY")
    return [picture if isinstance(picture, PictureInput) else PictureInput(picture) for picture in pictures]
