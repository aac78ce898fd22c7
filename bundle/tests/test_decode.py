"""Pictures in, pixels or a clear error out."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from picoseek_bundle import PictureError, PictureLimits, RawFormat, decode_picture, from_raw
from PIL import Image, ImageOps

FORMATS = (".jpg", ".png", ".webp", ".bmp")


def _picture(height: int = 30, width: int = 47) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=2).astype(np.uint8)


def _encode(picture: NDArray[np.uint8], ending: str) -> bytes:
    return cv2.imencode(ending, picture)[1].tobytes()


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_decoded(ending: str) -> None:
    picture = _picture()
    decoded = decode_picture(_encode(picture, ending))
    assert decoded.shape == picture.shape and decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    if ending in (".png", ".bmp"):
        np.testing.assert_array_equal(decoded, picture)


@pytest.mark.parametrize("ending", FORMATS)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_never_decoded(ending: str, share: float) -> None:
    data = _encode(_picture(), ending)
    with pytest.raises(PictureError) as caught:
        decode_picture(data[: int(len(data) * share)])
    assert caught.value.reason in ("PICTURE_EMPTY", "PICTURE_UNDECODABLE")


@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF"]))
def test_anything_else_is_a_picture_error(data: bytes, head: bytes) -> None:
    with pytest.raises(PictureError):
        decode_picture(head + data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGBA")])
def test_exif_orientation_turns_the_picture_upright(form: str, mode: str, orientation: int) -> None:
    stored = np.zeros((32, 64, 4), np.uint8)
    stored[:16, :32] = [250, 0, 0, 255]
    stored[16:, 32:] = [0, 0, 250, 255]
    stored[:, :, 3] = 255
    stored[0, 0, 3] = 254  # a file that is opaque throughout may lose its alpha channel
    image = Image.fromarray(stored).convert(mode)
    exif = image.getexif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, exif=exif, **({} if form == "JPEG" else {"lossless": True}))
    expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[:, :, ::-1]
    upright = decode_picture(buffer.getvalue())
    assert upright.shape == expected.shape
    assert np.median(np.abs(upright.astype(int) - expected)) <= 4


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparent_pixels_come_out_white(form: str) -> None:
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, form, lossless=True)
    assert decode_picture(buffer.getvalue()).min() == 255


def test_grey_and_16_bit_files_become_three_channels_of_8_bits() -> None:
    grey = np.full((5, 6), 77, np.uint8)
    assert decode_picture(_encode(grey, ".png")).tolist() == np.full((5, 6, 3), 77).tolist()
    deep = np.full((5, 6, 4), 77 * 257, np.uint16)
    deep[:, :, 3] = 65535
    assert decode_picture(cv2.imencode(".png", deep)[1].tobytes()).tolist() == np.full((5, 6, 3), 77).tolist()


def test_a_thumbnail_does_not_hide_that_the_picture_ends_early() -> None:
    thumbnail = _encode(_picture(8, 8), ".jpg")
    data = _encode(_picture(), ".jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + segment + data[2:]
    assert decode_picture(whole).shape == (30, 47, 3)
    with pytest.raises(PictureError, match="ends too early"):
        decode_picture(whole[:-10])


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (b"", PictureLimits(), "PICTURE_EMPTY"),
        (b"hello, this is text", PictureLimits(), "PICTURE_UNDECODABLE"),
        (_png_header(40_000, 40_000), PictureLimits(), "PICTURE_TOO_LARGE"),
        (_png_header(0, 10), PictureLimits(), "PICTURE_UNDECODABLE"),
        (_png_header(10, 10), PictureLimits(), "PICTURE_UNDECODABLE"),
        (_encode(_picture(), ".png"), PictureLimits(max_bytes=100), "PICTURE_TOO_LARGE"),
        (_encode(_picture(), ".png"), PictureLimits(max_side=40), "PICTURE_TOO_LARGE"),
    ],
)
def test_bad_files_name_their_reason(data: bytes, limits: PictureLimits, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode_picture(data, limits)
    assert caught.value.reason == reason


@pytest.mark.parametrize("layout", [RawFormat.BGR, RawFormat.RGB])
@pytest.mark.parametrize("padding", [0, 5])
def test_raw_pixels_with_and_without_padding(layout: RawFormat, padding: int) -> None:
    picture = _picture(4, 6)
    stored = picture if layout is RawFormat.BGR else picture[:, :, ::-1]
    rows = np.zeros((4, 18 + padding), np.uint8)
    rows[:, :18] = stored.reshape(4, 18)
    strides = (18 + padding,) if padding else ()
    np.testing.assert_array_equal(from_raw(rows.tobytes(), layout, 6, 4, strides), picture)


@pytest.mark.parametrize("padding", [0, 6])
def test_nv12_becomes_the_colours_it_stands_for(padding: int) -> None:
    luma = np.zeros((4, 6 + padding), np.uint8)
    luma[:, :6] = 81
    chroma = np.zeros((2, 6 + padding), np.uint8)
    chroma[:, 0:6:2], chroma[:, 1:6:2] = 90, 240
    strides = (6 + padding, 6 + padding) if padding else ()
    picture = from_raw(luma.tobytes() + chroma.tobytes(), RawFormat.NV12, 6, 4, strides)
    assert picture.shape == (4, 6, 3)
    assert np.abs(picture.astype(int) - [0, 0, 255]).max() <= 3


@pytest.mark.parametrize(
    ("data", "layout", "width", "height", "strides", "reason"),
    [
        (b"", RawFormat.BGR, 2, 2, (), "PICTURE_EMPTY"),
        (b"x" * 11, RawFormat.BGR, 2, 2, (), "RAW_LAYOUT_INVALID"),
        (b"x" * 13, RawFormat.BGR, 2, 2, (), "RAW_LAYOUT_INVALID"),
        (b"x" * 12, RawFormat.BGR, 0, 2, (), "RAW_LAYOUT_INVALID"),
        (b"x" * 12, RawFormat.BGR, 2, 2, (5,), "RAW_LAYOUT_INVALID"),
        (b"x" * 12, RawFormat.BGR, 2, 2, (6, 6), "RAW_LAYOUT_INVALID"),
        (b"x" * 6, RawFormat.NV12, 3, 2, (), "RAW_LAYOUT_INVALID"),
        (b"x" * 7, RawFormat.NV12, 2, 2, (), "RAW_LAYOUT_INVALID"),
        (b"x" * 12, RawFormat.BGR, 100_000, 100_000, (), "PICTURE_TOO_LARGE"),
    ],
)
def test_bad_raw_layouts_name_their_reason(
    data: bytes, layout: RawFormat, width: int, height: int, strides: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(PictureError) as caught:
        from_raw(data, layout, width, height, strides)
    assert caught.value.reason == reason
