"""The form that COCO, Objects365 and RPC have in common: one JSON file with `images` and `annotations`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from picoseek_training.data.convert.source import SourceBox, SourcePicture
from picoseek_training.data.json_file import list_of, read_json_object, value_of


def read_coco_document(annotations: Path, places: Callable[[str], tuple[Path, ...]]) -> list[SourcePicture]:
    """Read a COCO-like file; categories make no difference, `iscrowd` makes a box an ignored one.

    Args:
        annotations: The JSON file; boxes are x, y, width, height in pixels.
        places: Maps a picture's `file_name` to where the file may lie.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, a value is missing, or a box belongs to a picture that is not listed.
    """
    document = read_json_object(annotations)
    images = list_of(document, "images", annotations)
    boxes: dict[Any, list[SourceBox]] = {}
    for number, entry in enumerate(images):
        identity = value_of(entry, "id", f"{annotations}: image {number}")
        if identity in boxes:
            raise ValueError(f"{annotations}: two images have the id {identity}; ids must differ")
        boxes[identity] = []
    for number, entry in enumerate(list_of(document, "annotations", annotations)):
        where = f"{annotations}: annotation {entry.get('id', f'number {number}')}"
        identity = value_of(entry, "image_id", where)
        if identity not in boxes:
            raise ValueError(f"{where} belongs to image {identity}, which `images` does not list")
        boxes[identity].append(_box(value_of(entry, "bbox", where), bool(entry.get("iscrowd", 0)), where))
    return [_picture(entry, boxes[entry["id"]], places, annotations) for entry in images]


def _picture(
    entry: dict[str, Any], boxes: list[SourceBox], places: Callable[[str], tuple[Path, ...]], annotations: Path
) -> SourcePicture:
    where = f"{annotations}: image {entry['id']}"
    name = str(value_of(entry, "file_name", where)).replace("\\", "/")
    width, height = (int(value_of(entry, key, where)) for key in ("width", "height"))
    return SourcePicture(name, places(name), tuple(boxes), width, height)


def _box(values: Any, ignored: bool, where: str) -> SourceBox:
    try:
        x, y, width, height = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: bbox {values!r} must be x, y, width, height") from error
    return SourceBox(x, y, x + width, y + height, ignored)
