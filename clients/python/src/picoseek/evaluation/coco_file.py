"""Truth boxes from a COCO file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek.errors import InvalidArgumentError
from picoseek.evaluation.detection import Boxes


@dataclass(frozen=True, eq=False)
class AnnotatedPicture:
    """A picture of a COCO file."""

    file_name: str
    """As the file writes it."""
    truths: Boxes
    """[t, 4], x1 y1 x2 y2 in pixels, of any category."""
    crowds: NDArray[np.bool_]
    """[t], True where a truth is a crowd of things."""


def read_coco_file(path: Path) -> list[AnnotatedPicture]:
    """Read a COCO file; categories make no difference.

    Raises:
        InvalidArgumentError: it is no COCO file, or names no pictures.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        names = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
        boxes: dict[int, list[tuple[list[float], bool]]] = {image_id: [] for image_id in names}
        for annotation in content["annotations"]:
            x, y, width, height = (float(value) for value in annotation["bbox"])
            crowd = bool(annotation.get("iscrowd", 0))
            boxes[int(annotation["image_id"])].append(([x, y, x + width, y + height], crowd))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgumentError(f"{path} is no COCO file: {error!r}") from error
    if not names:
        raise InvalidArgumentError(f"{path} names no pictures")
    return [
        AnnotatedPicture(
            name,
            np.array([box for box, _ in boxes[image_id]], dtype=np.float64).reshape(-1, 4),
            np.array([crowd for _, crowd in boxes[image_id]], dtype=np.bool_),
        )
        for image_id, name in names.items()
    ]
