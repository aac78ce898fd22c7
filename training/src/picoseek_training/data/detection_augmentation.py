"""Augmentation of detection samples: random crop, flip, colour distortion, mosaic, resizing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_ASPECT_RATIO = (0.5, 2.0)
CROP_SCALE = (0.3, 1.0)
CROP_OVERLAPS = (None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Least IoU of a crop with some box that is asked for; None leaves the picture whole."""
CROP_ATTEMPTS = 50
COLOUR_RANGE = (0.5, 1.5)
HUE_DEGREES = 18
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class DetectionSample:
    """A picture with its objects; boxes are x1, y1, x2, y2 in its pixels."""

    picture: NDArray[np.uint8]
    """[height, width, 3] BGR."""
    boxes: NDArray[np.float32]
    """[n, 4] objects to find."""
    ignored: NDArray[np.float32]
    """[m, 4] regions in which a detection is neither right nor wrong."""


def random_crop(sample: DetectionSample, rng: np.random.Generator) -> DetectionSample:
    """Crop as in SSD: a random least overlap with some object; objects whose centre is outside are dropped.

    A picture without objects is cropped anywhere.
    """
    height, width = sample.picture.shape[:2]
    if len(sample.boxes) == 0:
        return _crop(sample, _random_window(height, width, rng))
    for overlap in rng.permutation(len(CROP_OVERLAPS)):
        least = CROP_OVERLAPS[overlap]
        if least is None:
            return sample
        for _ in range(CROP_ATTEMPTS):
            window = _random_window(height, width, rng)
            if _overlaps(window, sample.boxes).max() >= least and _centre_inside(window, sample.boxes).any():
                return _crop(sample, window)
    return sample


def random_flip(sample: DetectionSample, rng: np.random.Generator) -> DetectionSample:
    """Mirror left and right with probability one half."""
    if rng.random() < 0.5:
        return sample
    width = sample.picture.shape[1]
    return DetectionSample(sample.picture[:, ::-1], _mirror(sample.boxes, width), _mirror(sample.ignored, width))


def random_colour(sample: DetectionSample, rng: np.random.Generator) -> DetectionSample:
    """Change brightness, contrast, saturation and hue in random order, each with probability one half."""
    picture: Any = sample.picture
    for step in rng.permutation(4):
        if rng.random() < 0.5:
            continue
        factor = float(rng.uniform(*COLOUR_RANGE))
        if step == 0:
            picture = cv2.convertScaleAbs(picture, alpha=factor)
        elif step == 1:
            grey = float(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).mean())
            picture = cv2.addWeighted(picture, factor, np.full_like(picture, round(grey)), 1.0 - factor, 0.0)
        elif step == 2:
            grey_picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            picture = cv2.addWeighted(picture, factor, grey_picture, 1.0 - factor, 0.0)
        else:
            hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
            turn = int(rng.integers(-HUE_DEGREES // 2, HUE_DEGREES // 2 + 1))
            hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180
            picture = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return replace(sample, picture=np.asarray(picture, np.uint8))


def resize(sample: DetectionSample, width: int, height: int, interpolation: int) -> DetectionSample:
    """Stretch to the given size."""
    factor = np.array([width / sample.picture.shape[1], height / sample.picture.shape[0]] * 2, np.float32)
    picture = cv2.resize(sample.picture, (width, height), interpolation=interpolation)
    return DetectionSample(np.asarray(picture, np.uint8), sample.boxes * factor, sample.ignored * factor)


def mosaic(samples: list[DetectionSample], size: int, rng: np.random.Generator) -> DetectionSample:
    """Lay four samples around a random point of a square of `size` pixels."""
    low, high = round(0.35 * size), round(0.65 * size)
    x, y = (int(value) for value in rng.integers(low, high + 1, 2))
    canvas = np.empty((size, size, 3), np.uint8)
    boxes: list[NDArray[np.float32]] = []
    ignored: list[NDArray[np.float32]] = []
    corners = ((0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size))
    for sample, (left, top, right, bottom) in zip(samples, corners, strict=True):
        part = resize(sample, right - left, bottom - top, cv2.INTER_AREA)
        canvas[top:bottom, left:right] = part.picture
        offset = np.array([left, top, left, top], np.float32)
        boxes.append(part.boxes + offset)
        ignored.append(part.ignored + offset)
    return DetectionSample(canvas, np.concatenate(boxes), np.concatenate(ignored))


def _random_window(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    scale = rng.uniform(*CROP_SCALE)
    low, high = CROP_ASPECT_RATIO
    ratio = rng.uniform(max(low, scale**2), min(high, scale**-2))
    crop_height = max(int(height * scale / np.sqrt(ratio)), 1)
    crop_width = max(int(width * scale * np.sqrt(ratio)), 1)
    top = int(rng.integers(0, max(height - crop_height, 0) + 1))
    left = int(rng.integers(0, max(width - crop_width, 0) + 1))
    return np.array([left, top, min(left + crop_width, width), min(top + crop_height, height)], np.float32)


def _overlaps(window: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] IoU of the window with each box."""
    sides = np.minimum(window[2:], boxes[:, 2:]) - np.maximum(window[:2], boxes[:, :2])
    intersection = np.maximum(sides, 0.0).prod(axis=1)
    union = (window[2:] - window[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - intersection
    overlap: NDArray[np.float32] = intersection / np.maximum(union, 1e-6)
    return overlap


def _centre_inside(window: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((centres > window[:2]) & (centres < window[2:])).all(axis=1))


def _crop(sample: DetectionSample, window: NDArray[np.float32]) -> DetectionSample:
    left, top, right, bottom = (int(value) for value in window)
    kept = _centre_inside(window, sample.boxes)
    return DetectionSample(
        sample.picture[top:bottom, left:right],
        _clip(sample.boxes[kept], window),
        # A cut object is no clear negative either.
        _clip(np.concatenate([sample.ignored, sample.boxes[~kept]]), window),
    )


def _clip(boxes: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    offset = np.tile(window[:2], 2)
    limit = np.tile(window[2:] - window[:2], 2)
    clipped = np.clip(boxes - offset, 0.0, limit)
    kept: NDArray[np.float32] = clipped[(clipped[:, 2:] > clipped[:, :2]).all(axis=1)]
    return kept


def _mirror(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
