"""COCO annotation files as pictures with class-agnostic boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.json_file import list_of, read_json_object, value_of


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
        ValueError: It is no COCO file, an annotation names a picture that it does not list, or a box is not of finite
            numbers.
    """
    document = read_json_object(annotations)
    entries = list_of(document, "images", annotations)
    places = [f"{annotations}: image {value_of(entry, 'id', f'{annotations}: an image')}" for entry in entries]
    boxes: dict[int, list[list[float]]] = {entry["id"]: [] for entry in entries}
    ignored: dict[int, list[list[float]]] = {entry["id"]: [] for entry in entries}
    for number, annotation in enumerate(list_of(document, "annotations", annotations)):
        where = f"{annotations}: annotation {annotation.get('id', f'number {number}')}"
        identity = value_of(annotation, "image_id", where)
        if identity not in boxes:
            raise ValueError(f"{where} has no picture {identity}")
        kind = ignored if annotation.get("iscrowd", 0) else boxes
        kind[identity].append(_corners(value_of(annotation, "bbox", where), where))
    return [
        AnnotatedPicture(
            images / value_of(entry, "file_name", where),
            np.asarray(boxes[entry["id"]], np.float32).reshape(-1, 4),
            np.asarray(ignored[entry["id"]], np.float32).reshape(-1, 4),
            value_of(entry, "width", where),
            value_of(entry, "height", where),
        )
        for entry, where in zip(entries, places, strict=True)
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
