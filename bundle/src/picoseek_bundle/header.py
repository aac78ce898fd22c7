"""Read format, size and completeness of a picture file from its bytes, before any decoder allocates memory for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from picoseek_bundle.errors import PictureError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class PictureHeader:
    """What the first bytes of a picture file say."""

    format: str
    """"jpeg", "png", "webp" or "bmp"."""
    width: int
    """Stored width in pixels, before EXIF orientation."""
    height: int
    """Stored height in pixels, before EXIF orientation."""


def read_header(data: bytes) -> PictureHeader:
    """Return the header of a JPEG, PNG, WebP or BMP file.

    Raises:
        PictureError: PICTURE_EMPTY for no bytes; PICTURE_UNDECODABLE for other formats and files that end too early.
    """
    if not data:
        raise PictureError("PICTURE_EMPTY", "the picture has no bytes; send a JPEG, PNG, WebP or BMP file")
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"BM"):
            return _bmp(data)
    except (struct.error, IndexError) as error:
        raise _truncated() from error
    raise PictureError(
        "PICTURE_UNDECODABLE",
        f"{len(data)} bytes that are no JPEG, PNG, WebP or BMP file; send one of these formats",
    )


def _truncated() -> PictureError:
    return PictureError("PICTURE_UNDECODABLE", "the picture file ends too early; send the complete file")


def _jpeg(data: bytes) -> PictureHeader:
    size: tuple[int, int] | None = None
    at = 2
    while True:
        if data[at] != 0xFF:
            raise PictureError("PICTURE_UNDECODABLE", "the JPEG file is damaged; send it again")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_STANDALONE:
            at += 2
            continue
        if marker == 0xD9:
            raise _truncated()
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _JPEG_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        if marker == 0xDA:
            break
        at += 2 + length
    # In entropy-coded data every FF is followed by 00 or a restart marker, so the next FF D9 is this picture's own end;
    # one further up could be that of a thumbnail.
    if size is None or data.find(b"\xff\xd9", at + 2 + length) < 0:
        raise _truncated()
    return PictureHeader("jpeg", *size)


def _png(data: bytes) -> PictureHeader:
    width, height = struct.unpack_from(">II", data, 16)
    header = PictureHeader("png", width, height)
    at = len(_PNG)
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        at += 12 + length
        if at > len(data):
            raise _truncated()
        if kind == b"IEND":
            return header


def _webp(data: bytes) -> PictureHeader:
    (riff,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    else:
        raise PictureError("PICTURE_UNDECODABLE", "the WebP file has no picture; send another file")
    if riff + 8 > len(data):
        raise _truncated()
    return PictureHeader("webp", width, height)


def _bmp(data: bytes) -> PictureHeader:
    (offset, info) = struct.unpack_from("<II", data, 10)
    if info == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    if compression in (0, 3) and offset + (width * depth + 31) // 32 * 4 * height > len(data):
        raise _truncated()
    return PictureHeader("bmp", width, height)
