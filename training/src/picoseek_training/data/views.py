"""Training views: crop, turn, mirror, frame and light changes that are drawn once and can be rendered at any size.

Teacher and student see the same view at their own sizes, and a view never changes, so that a teacher's answers to it
can be stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_training.bounds import Positive, Probability, Weight
from picoseek_training.configuration import STRICT


@dataclass(frozen=True)
class ViewConfig:
    """How far views leave the original picture."""

    __pydantic_config__ = STRICT

    min_area: Positive = 0.4
    """Smallest part of the picture's area that a crop keeps."""
    max_area: Positive = 1.0
    """Largest; above 1 the picture stands in a frame of random colour."""
    max_log_ratio: Weight = 0.2
    """Bound of |log(width / height)| of the crop, relative to the picture."""
    mirror: Probability = 0.5
    """Probability of a horizontal flip."""
    turn: Probability = 0.3
    """Probability of a rotation."""
    max_angle: Weight = 25.0
    """Bound of the rotation in degrees."""
    light: Probability = 0.25
    """Bound of the relative change of brightness and contrast."""
    colour: Probability = 0.08
    """Bound of the relative change of a channel."""


@dataclass(frozen=True)
class View:
    """One drawn view: a map from the view's unit square to the picture's, and a change of colour."""

    matrix: NDArray[np.float64]
    """[2, 3]: picture coordinates (x, y) = matrix @ (u, v, 1), all from 0 to 1."""
    gain: NDArray[np.float32]
    """[3] factor a channel."""
    offset: float
    """Added afterwards, in grey levels."""
    frame: tuple[float, float, float]
    """Colour beyond the picture's edge."""


def draw_view(config: ViewConfig, seed: tuple[int, ...]) -> View:
    """Draw the view that belongs to `seed`; the same seed and configuration give the same view."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(config.min_area, config.max_area)
    ratio = math.exp(rng.uniform(-config.max_log_ratio, config.max_log_ratio))
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    centre_x = 0.5 + rng.uniform(-0.5, 0.5) * abs(1.0 - width)
    centre_y = 0.5 + rng.uniform(-0.5, 0.5) * abs(1.0 - height)
    angle = math.radians(rng.uniform(-config.max_angle, config.max_angle)) if rng.random() < config.turn else 0.0
    sign = -1.0 if rng.random() < config.mirror else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    linear = np.array([[cos * width * sign, -sin * height], [sin * width * sign, cos * height]])
    shift = np.array([centre_x, centre_y]) - linear @ np.array([0.5, 0.5])
    contrast = 1.0 + rng.uniform(-config.light, config.light)
    gain = contrast * (1.0 + rng.uniform(-config.colour, config.colour, 3))
    offset = 127.5 * (1.0 - contrast) + 127.5 * rng.uniform(-config.light, config.light) * 0.5
    grey = float(rng.choice([0.0, 255.0, rng.uniform(0, 255)]))
    return View(np.column_stack([linear, shift]), gain.astype(np.float32), float(offset), (grey, grey, grey))


def render_view(picture: NDArray[np.uint8], view: View, side: int) -> NDArray[np.uint8]:
    """Render a view of a square picture [S, S, 3] at [side, side, 3]."""
    source = picture.shape[0]
    matrix = view.matrix * source
    # Pixel centres: view pixel i has the coordinate (i + 0.5) / side, picture coordinate x the pixel x * source - 0.5.
    to_picture = np.empty((2, 3))
    to_picture[:, :2] = matrix[:, :2] / side
    to_picture[:, 2] = matrix[:, 2] + matrix[:, :2] @ np.array([0.5, 0.5]) / side - 0.5
    warped = cv2.warpAffine(
        picture,
        to_picture,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=view.frame,
    )
    table = np.clip(np.arange(256)[:, None] * view.gain + view.offset, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(warped, table.reshape(1, 256, 3)), dtype=np.uint8)
