"""Augmentation of PP-ShiTu's recognition recipes: random resized crop, flip, padded crop, rotation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_training.bounds import Positive, Probability, Share, Weight, Whole
from picoseek_training.configuration import STRICT

Picture = NDArray[np.uint8]

_CROP_ATTEMPTS = 10


@dataclass(frozen=True)
class RecognitionAugmentation:
    """What happens to a picture, in the order of the fields; the defaults are those of GeneralRecognitionV2."""

    __pydantic_config__ = STRICT

    fit: Literal["stretch", "random_crop"] = "stretch"
    """The whole picture, its ratio not kept, or a random part of it (V1)."""
    crop_area: tuple[Share, Share] = (0.08, 1.0)
    """Share of the picture's area that `random_crop` keeps."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Width by height of that part."""
    flip: Probability = 0.5
    """Probability of mirroring left and right."""
    pad: Whole = 10
    """Black pixels added at every side, from which a random square of the input's size is cut."""
    rotation: Probability = 0.5
    """Probability of a rotation, without enlarging: corners are cut, and black where nothing is."""
    max_angle: Weight = 90.0
    """Bound of the rotation in degrees."""


def augment(picture: Picture, size: int, config: RecognitionAugmentation, rng: np.random.Generator) -> Picture:
    """Return a training view [size, size, 3] of a picture [height, width, 3]."""
    if config.fit == "random_crop":
        picture = _random_part(picture, config, rng)
    view: Any = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < config.flip:
        view = view[:, ::-1]
    if config.pad:
        view = np.pad(view, ((config.pad, config.pad), (config.pad, config.pad), (0, 0)))
        top, left = rng.integers(0, 2 * config.pad + 1, 2)
        view = view[top : top + size, left : left + size]
    if rng.random() < config.rotation:
        centre = ((size - 1) / 2, (size - 1) / 2)
        turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-config.max_angle, config.max_angle)), 1.0)
        view = cv2.warpAffine(np.ascontiguousarray(view), turn, (size, size), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(view, dtype=np.uint8)


def _random_part(picture: Picture, config: RecognitionAugmentation, rng: np.random.Generator) -> Picture:
    """Cut a part of random area and ratio; the whole picture when none fits (Szegedy et al. 2015)."""
    height, width = picture.shape[:2]
    low, high = (math.log(bound) for bound in config.crop_ratio)
    for _ in range(_CROP_ATTEMPTS):
        area = height * width * rng.uniform(*config.crop_area)
        ratio = math.exp(rng.uniform(low, high))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = int(rng.integers(0, width - wide + 1)), int(rng.integers(0, height - tall + 1))
            return picture[top : top + tall, left : left + wide]
    return picture
