"""Annotated pictures: boxes, names, scores."""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from picoseek.box import Box
from picoseek.fonts import Font, fit_text
from picoseek.picture import Pixels
from picoseek.picture_object import ObjectSource
from picoseek.recognition import Recognition, RecognizedObject

_GREY = (120, 124, 130)
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Style:
    line: int
    font_size: int
    padding: int

    @classmethod
    def of(cls, width: int, height: int) -> _Style:
        """Scale with the picture, so that a thumbnail and a photograph look alike on a screen."""
        side = (width * height) ** 0.5
        return cls(
            line=max(2, round(side / 220)), font_size=max(11, round(side / 24)), padding=max(2, round(side / 160))
        )


def draw_recognition(pixels: Pixels, recognition: Recognition, *, min_side: int = 0) -> Pixels:
    """Return a picture with what was recognised in it: a coloured box a known object, a grey one an unknown one.

    Args:
        pixels: [height, width, 3] uint8, BGR, the picture that was recognised, upright.
        recognition: what is in it.
        min_side: a picture whose longer side is shorter is enlarged by a whole factor, so that names are readable.
    """
    factor = -(-min_side // max(pixels.shape[:2])) or 1
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    if factor > 1:
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(picture)
    style = _Style.of(picture.width, picture.height)
    # Surest last, so that it lies on top.
    objects = [_enlarged(found, factor) for found in recognition.objects]
    for found in reversed(objects):
        _draw_box(canvas, found, style, picture.size)
    taken: list[tuple[float, float, float, float]] = []
    for found in objects:
        _draw_tag(canvas, found, style, picture.size, taken)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8)[..., ::-1])


def _enlarged(found: RecognizedObject, factor: int) -> RecognizedObject:
    return replace(found, box=Box(*(value * factor for value in found.box.as_list())))


def _draw_box(canvas: ImageDraw.ImageDraw, found: RecognizedObject, style: _Style, size: tuple[int, int]) -> None:
    corners = _corners(found, size)
    # A dark rim keeps the line visible on any ground.
    canvas.rectangle(corners, outline=(0, 0, 0), width=style.line + 2)
    inner = (corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1)
    if inner[0] < inner[2] and inner[1] < inner[3]:
        canvas.rectangle(inner, outline=_colour(found), width=style.line)


def _draw_tag(
    canvas: ImageDraw.ImageDraw,
    found: RecognizedObject,
    style: _Style,
    size: tuple[int, int],
    taken: list[tuple[float, float, float, float]],
) -> None:
    score = "" if found.score is None else f"  {found.score:.2f}"
    text, font = _fitted(canvas, found.label or "unknown", score, style, size[0])
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    width, height = right - left + 2 * style.padding, style.font_size + 2 * style.padding
    x1, y1, _, _ = _corners(found, size)
    x = min(max(0.0, x1), max(0.0, size[0] - width))
    y = y1 - height if y1 >= height and found.source is not ObjectSource.WHOLE else y1
    while any(_overlaps((x, y, x + width, y + height), other) for other in taken) and y + 2 * height <= size[1]:
        y += height
    taken.append((x, y, x + width, y + height))
    colour = _colour(found)
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    middle = y + (height - (top + bottom)) / 2
    canvas.text((x + style.padding - left, middle), text, font=font, fill=_ink(colour))


def _fitted(canvas: ImageDraw.ImageDraw, name: str, score: str, style: _Style, width: int) -> tuple[str, Font]:
    """Return name and score, the name cut until both fit into the picture."""
    shown, font = fit_text(name, style.font_size)
    text = shown + score
    while canvas.textlength(text, font=font) + 2 * style.padding > width and len(shown) > 1:
        shown = shown[:-1]
        text = f"{shown}…{score}" if font.getname()[0] != "Aileron" else f"{shown}...{score}"
    return text, font


def _corners(found: RecognizedObject, size: tuple[int, int]) -> tuple[float, float, float, float]:
    x1, y1 = max(0.0, found.box.x1), max(0.0, found.box.y1)
    return x1, y1, max(x1, min(found.box.x2, size[0]) - 1), max(y1, min(found.box.y2, size[1]) - 1)


def _overlaps(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _colour(found: RecognizedObject) -> Colour:
    """Return a colour that a label keeps from picture to picture."""
    if found.label is None:
        return _GREY
    hue = hashlib.sha256(found.label.encode()).digest()[0] / 256
    red, green, blue = colorsys.hls_to_rgb(hue, 0.45, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ink(ground: Colour) -> Colour:
    brightness = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return (0, 0, 0) if brightness > 140 else (255, 255, 255)
