"""COCO annotation files as pictures with class-agnostic boxes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AnnotatedPicture:
    """One picture of a detection set."""

    path: Path
    """Encoded file."""
    boxes: NDArray[np.float32]
    """[n, 4] x1, y1, x2, y2 in pixels of the file."""
    ignored: NDArray[np.float32]
    """[m, 4] crowd regions (`iscrowd` 1): neither objects to find nor background."""
    width: int
    height: int


def read_coco(annotations: Path, images: Path) -> list[AnnotatedPicture]:
    """Read a COCO file, all categories taken as one; pictures come in order of the file.

    Raises:
        FileNotFoundError: The annotation file is missing.
        ValueError: An annotation names a picture that the file does not list, or its box is not of finite numbers.
    """
    document = json.loads(annotations.read_text(encoding="utf-8"))
    boxes: dict[int, list[list[float]]] = {entry["id"]: [] for entry in document["images"]}
    ignored: dict[int, list[list[float]]] = {entry["id"]: [] for entry in document["images"]}
    for number, annotation in enumerate(document["annotations"]):
        where = f"{annotations}: annotation {annotation.get('id', f'number {number}')}"
        if annotation["image_id"] not in boxes:
            raise ValueError(f"{where} has no picture {annotation['image_id']}")
        kind = ignored if annotation.get("iscrowd", 0) else boxes
        kind[annotation["image_id"]].append(_corners(annotation["bbox"], where))
    return [
        AnnotatedPicture(
            images / entry["file_name"],
            np.asarray(boxes[entry["id"]], np.float32).reshape(-1, 4),
            np.asarray(ignored[entry["id"]], np.float32).reshape(-1, 4),
            entry["width"],
            entry["height"],
        )
        for entry in document["images"]
    ]


def _corners(box: Any, where: str) -> list[float]:
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(value, int | float) and math.isfinite(value) for value in box)
    ):
        raise ValueError(
            f"{where}: bbox {box!r} must be x, y, width, height, four finite numbers; correct or remove it"
        )
    x, y, width, height = box
    return [x, y, x + width, y + height]
