"""A COCO file with the one category `foreground`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picoseek_training.data.convert.source import SourceBox
from picoseek_training.whole_file import whole_text_file

CATEGORY = {"id": 1, "name": "foreground", "supercategory": "foreground"}
_DECIMALS = 2


@dataclass(frozen=True)
class ForegroundPicture:
    """A picture as it is written."""

    file_name: str
    """Path relative to the folder of the COCO file, with forward slashes."""
    width: int
    """In pixels."""
    height: int
    boxes: tuple[SourceBox, ...]
    """Inside the picture."""
    source: str
    """Name of the set that it comes from."""


def write_foreground_file(path: Path, pictures: Iterable[ForegroundPicture]) -> None:
    """Write pictures in their order, an entry a line; ids count from 1 over all of them.

    Ignored boxes have `iscrowd` and `ignore` 1. The file appears whole or not at all, also when `pictures` fails.
    """
    annotations: list[dict[str, Any]] = []
    with whole_text_file(path) as stream:
        stream.write('{"categories": ' + json.dumps([CATEGORY]) + ',\n"images": [')
        for image_id, picture in enumerate(pictures, start=1):
            entry = {
                "id": image_id,
                "file_name": picture.file_name,
                "width": picture.width,
                "height": picture.height,
                "source": picture.source,
            }
            stream.write((",\n" if image_id > 1 else "\n") + json.dumps(entry, ensure_ascii=False))
            annotations += [_annotation(box, image_id, len(annotations) + n) for n, box in enumerate(picture.boxes, 1)]
        stream.write('\n],\n"annotations": [')
        for annotation in annotations:
            stream.write((",\n" if annotation["id"] > 1 else "\n") + json.dumps(annotation))
        stream.write("\n]}\n")


def _annotation(box: SourceBox, image_id: int, annotation_id: int) -> dict[str, Any]:
    x1, y1, x2, y2 = (round(value, _DECIMALS) for value in (box.x1, box.y1, box.x2, box.y2))
    width, height = round(x2 - x1, _DECIMALS), round(y2 - y1, _DECIMALS)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x1, y1, width, height],
        "area": round(width * height, _DECIMALS),
        "iscrowd": int(box.ignored),
        "ignore": int(box.ignored),
    }
