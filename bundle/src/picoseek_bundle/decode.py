"""From the bytes of a picture to its pixels, with limits checked before memory is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_bundle.errors import PictureError
from picoseek_bundle.header import read_header
from picoseek_bundle.orientation import read_orientation, turn_upright

_BACKGROUND = 255


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may cost."""

    max_bytes: int = 32 << 20
    """Longest file or raw data in bytes."""
    max_pixels: int = 64_000_000
    """Most pixels, width times height."""
    max_side: int = 32_768
    """Longest side in pixels."""


class RawFormat(Enum):
    """Memory layout of raw pixels."""

    BGR = "bgr"
    """Interleaved blue, green, red."""
    RGB = "rgb"
    """Interleaved red, green, blue."""
    NV12 = "nv12"
    """Full-resolution Y plane, then interleaved U and V at half resolution (BT.601, limited range)."""


def decode_picture(data: bytes, limits: PictureLimits = PictureLimits()) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP or BMP file and turn it upright by its EXIF orientation.

    Transparent pixels come out white, as on a product page, and not in whatever colour hides beneath.

    Returns:
        [height, width, 3] uint8, BGR, contiguous.

    Raises:
        PictureError: PICTURE_EMPTY, PICTURE_UNDECODABLE or PICTURE_TOO_LARGE.
    """
    if len(data) > limits.max_bytes:
        raise PictureError(
            "PICTURE_TOO_LARGE",
            f"the picture has {len(data)} bytes, the limit is {limits.max_bytes}; compress or reduce it",
        )
    header = read_header(data)
    _check_size(header.width, header.height, limits)
    buffer = np.frombuffer(data, dtype=np.uint8)
    try:
        # Only IMREAD_UNCHANGED keeps an alpha channel, and it ignores the orientation.
        flags = cv2.IMREAD_COLOR if header.format in ("jpeg", "bmp") else cv2.IMREAD_UNCHANGED
        pixels = cv2.imdecode(buffer, flags)
        if pixels is not None and flags == cv2.IMREAD_UNCHANGED:
            if pixels.ndim == 3 and pixels.shape[2] == 4:
                return _over_background(turn_upright(_to_uint8(pixels), read_orientation(data)))
            pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _undecodable(header.format) from error
    if pixels is None or pixels.ndim != 3 or 0 in pixels.shape:
        raise _undecodable(header.format)
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def from_raw(
    data: bytes,
    layout: RawFormat,
    width: int,
    height: int,
    strides: Sequence[int] = (),
    limits: PictureLimits = PictureLimits(),
) -> NDArray[np.uint8]:
    """Bring raw pixels into [height, width, 3] uint8, BGR.

    Args:
        data: the pixels.
        layout: their order.
        width: pixels a row; even for NV12.
        height: rows; even for NV12.
        strides: bytes from row to row: one value for BGR and RGB, two for NV12; empty for packed rows.
        limits: what a picture may cost.

    Raises:
        PictureError: RAW_LAYOUT_INVALID when the figures do not agree, PICTURE_EMPTY, PICTURE_TOO_LARGE.
    """
    if not data:
        raise PictureError("PICTURE_EMPTY", "the raw picture has no data; send its pixels")
    if len(data) > limits.max_bytes:
        raise PictureError(
            "PICTURE_TOO_LARGE",
            f"the raw picture has {len(data)} bytes, the limit is {limits.max_bytes}; reduce it or send a JPEG",
        )
    if width < 1 or height < 1:
        raise PictureError("RAW_LAYOUT_INVALID", f"raw size {width} x {height} px: both must be at least 1")
    _check_size(width, height, limits)
    if layout is RawFormat.NV12:
        return _from_nv12(data, width, height, strides)
    (stride,) = _check_strides(strides, (3 * width,), layout)
    needed = stride * (height - 1) + 3 * width
    if len(data) < needed or len(data) > stride * height:
        raise PictureError(
            "RAW_LAYOUT_INVALID",
            f"{layout.value} of {width} x {height} px with stride {stride} takes {stride * height} bytes, "
            f"not {len(data)}",
        )
    rows = np.lib.stride_tricks.as_strided(
        np.frombuffer(data, dtype=np.uint8), shape=(height, width, 3), strides=(stride, 3, 1), writeable=False
    )
    if layout is RawFormat.RGB:
        rows = rows[:, :, ::-1]
    return np.ascontiguousarray(rows)


def _from_nv12(data: bytes, width: int, height: int, strides: Sequence[int]) -> NDArray[np.uint8]:
    if width % 2 or height % 2:
        raise PictureError("RAW_LAYOUT_INVALID", f"nv12 size {width} x {height} px: both must be even")
    luma_stride, chroma_stride = _check_strides(strides, (width, width), RawFormat.NV12)
    luma_size = luma_stride * height
    needed = luma_size + chroma_stride * (height // 2)
    if len(data) != needed:
        raise PictureError(
            "RAW_LAYOUT_INVALID",
            f"nv12 of {width} x {height} px with strides {luma_stride}, {chroma_stride} takes {needed} bytes, "
            f"not {len(data)}",
        )
    buffer = np.frombuffer(data, dtype=np.uint8)
    luma = buffer[:luma_size].reshape(height, luma_stride)[:, :width]
    chroma = buffer[luma_size:].reshape(height // 2, chroma_stride)[:, :width].reshape(height // 2, width // 2, 2)
    picture = cv2.cvtColorTwoPlane(np.ascontiguousarray(luma), np.ascontiguousarray(chroma), cv2.COLOR_YUV2BGR_NV12)
    return np.asarray(picture, dtype=np.uint8)


def _check_strides(strides: Sequence[int], packed: tuple[int, ...], layout: RawFormat) -> tuple[int, ...]:
    if not strides:
        return packed
    if len(strides) != len(packed) or any(stride < least for stride, least in zip(strides, packed, strict=False)):
        raise PictureError(
            "RAW_LAYOUT_INVALID",
            f"{layout.value} takes {len(packed)} strides of at least {', '.join(map(str, packed))} bytes, "
            f"not {', '.join(map(str, strides))}",
        )
    return tuple(strides)


def _check_size(width: int, height: int, limits: PictureLimits) -> None:
    if width < 1 or height < 1:
        raise PictureError("PICTURE_UNDECODABLE", f"the picture's header says {width} x {height} px; send another file")
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise PictureError(
            "PICTURE_TOO_LARGE",
            f"the picture has {width} x {height} px, the limits are {limits.max_pixels} px in all and "
            f"{limits.max_side} a side; reduce it",
        )


def _undecodable(kind: str) -> PictureError:
    return PictureError(
        "PICTURE_UNDECODABLE", f"the {kind.upper()} file cannot be decoded; it is damaged, send it again"
    )


def _to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    return np.asarray(pixels, dtype=np.uint8)


def _over_background(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = pixels[:, :, 3:].astype(np.uint16)
    blended = pixels[:, :, :3] * alpha + _BACKGROUND * (255 - alpha) + 127
    return (blended // 255).astype(np.uint8)
