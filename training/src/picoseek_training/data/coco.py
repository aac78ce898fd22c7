"""COCO annotation files as pictures with class-agnostic boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

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
        ValueError: An annotation names a picture that the file does not list.
    """
    document = json.loads(annotations.read_text(encoding="utf-8"))
    boxes: dict[int, list[list[float]]] = {entry["id"]: [] for entry in document["images"]}
    ignored: dict[int, list[list[float]]] = {entry["id"]: [] for entry in document["images"]}
    for annotation in document["annotations"]:
        if annotation["image_id"] not in boxes:
            raise ValueError(f"{annotations}: annotation {annotation['id']} has no picture {annotation['image_id']}")
        x, y, width, height = annotation["bbox"]
        kind = ignored if annotation.get("iscrowd", 0) else boxes
        kind[annotation["image_id"]].append([x, y, x + width, y + height])
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
