"""What may happen between two pictures of the same thing: crop, turn, size, light, background."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from demo.sources import Pixels

Change = Callable[[Pixels], Pixels]


def crop(left: float, top: float, right: float, bottom: float) -> Change:
    """Keep a part, given as shares of width and height."""

    def change(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        return pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].copy()

    return change


def turn(degrees: float) -> Change:
    """Turn about the centre and fill the corners by reflection, as a tilted camera would see more of the scene."""

    def change(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        turned = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(turned, dtype=np.uint8)

    return change


def size(longer_side: int) -> Change:
    """Reduce to a longer side in pixels, as a messenger does."""

    def change(pixels: Pixels) -> Pixels:
        ratio = longer_side / max(pixels.shape[:2])
        return np.asarray(cv2.resize(pixels, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    return change


def light(gain: float, warmth: float = 1.0) -> Change:
    """Brighten or darken; warmth above 1 shifts from blue to red."""

    def change(pixels: Pixels) -> Pixels:
        factors = np.array([gain / warmth, gain, gain * warmth])
        return np.asarray(np.clip(pixels * factors, 0, 255), dtype=np.uint8)

    return change


def background(texture: Pixels, share: float) -> Change:
    """Lay the picture as a print onto a surface; share is the part of the new picture's width that it covers."""

    def change(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        canvas_width, canvas_height = round(width / share), round(height / share)
        surface = np.asarray(cv2.resize(texture, (canvas_width, canvas_height)), dtype=np.uint8).copy()
        top, left = (canvas_height - height) // 2, (canvas_width - width) // 3
        surface[top : top + height, left : left + width] = pixels
        return surface

    return change
