"""Cut-outs with transparency, pasted into pictures as objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.detection_augmentation import DetectionSample
from picoseek_training.evaluation.coco_ap import iou_matrix

SUFFIXES = {".png", ".webp"}
SMALLEST_SIDE = 16
"""Cut-outs that would be narrower are left out, in pixels."""
MOST_TURNED = 25.0
"""Degrees."""
MOST_OVERLAP = 0.1
"""IoU with an object that is there above which a place is not taken."""


def read_cut_outs(folders: Sequence[Path], first: int | None = None) -> list[NDArray[np.uint8]]:
    """Read all cut-outs of some folders, [height, width, 4] BGR and opacity.

    Args:
        folders: Each with pictures of its own.
        first: Only so many of each folder, in the order of their names.

    Raises:
        FileNotFoundError: A folder holds none.
        ValueError: A picture is broken or has no transparency.
    """
    cut_outs: list[NDArray[np.uint8]] = []
    for folder in folders:
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)[:first]
        if not files:
            raise FileNotFoundError(f"augmentation.paste.images: no PNG or WebP pictures in {folder}")
        for file in files:
            picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
                raise ValueError(f"augmentation.paste.images: {file} is no picture with transparency")
            cut_outs.append(np.asarray(picture, np.uint8))
    return cut_outs


def paste(
    sample: DetectionSample,
    cut_outs: Sequence[NDArray[np.uint8]],
    most: int,
    sides: tuple[float, float],
    rng: np.random.Generator,
) -> DetectionSample:
    """Paste 1 to `most` random cut-outs, mirrored and turned at random, where they cover no object.

    Args:
        sample: Picture and boxes.
        cut_outs: To choose from.
        most: Cut-outs at most.
        sides: Smallest and largest side, as a share of the picture's shorter one.
        rng: Of all choices.
    """
    picture = np.array(sample.picture)
    height, width = picture.shape[:2]
    boxes = list(sample.boxes)
    for _ in range(int(rng.integers(1, most + 1))):
        side = int(min(height, width) * rng.uniform(*sides))
        cut_out = _turned(cut_outs[int(rng.integers(len(cut_outs)))], side, rng)
        x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        rows, columns = np.nonzero(cut_out[..., 3] > 127)
        if side < SMALLEST_SIDE or not len(rows):
            continue
        box = np.array([x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1], np.float32)
        if boxes and iou_matrix(box[None], np.array(boxes)).max() > MOST_OVERLAP:
            continue
        opacity = cut_out[..., 3:].astype(np.float32) / 255.0
        place = picture[y : y + side, x : x + side]
        place[:] = np.rint(place * (1.0 - opacity) + cut_out[..., :3] * opacity).astype(np.uint8)
        boxes.append(box)
    return DetectionSample(picture, np.array(boxes, np.float32).reshape(-1, 4), sample.ignored)


def _turned(cut_out: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror, turn and resize to a square of `side` pixels."""
    if rng.random() < 0.5:
        cut_out = cut_out[:, ::-1]
    height, width = cut_out.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-MOST_TURNED, MOST_TURNED)), 1.0)
    turned = cv2.warpAffine(np.ascontiguousarray(cut_out), turn, (width, height))
    return np.asarray(cv2.resize(turned, (max(side, 1), max(side, 1)), interpolation=cv2.INTER_CUBIC), np.uint8)
