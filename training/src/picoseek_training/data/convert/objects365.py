"""Objects365, versions 1 and 2: a COCO-like file, and pictures in folders `patch0` to `patch50`.

Version 1 (`objects365_train.json`) names bare files. Version 2 (`zhiyuan_objv2_train.json`) names
`images/v1/patch8/objects365_v1_00420917.jpg`, while the archives that are downloaded unpack to `patch8/…`.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from picoseek_training.data.convert.coco_document import read_coco_document
from picoseek_training.data.convert.source import SourcePicture


def read_objects365(annotations: Path, images: Path) -> list[SourcePicture]:
    """Read either version; annotated groups (`iscrowd` 1) are ignored boxes.

    Args:
        annotations: `objects365_*.json` or `zhiyuan_objv2_*.json`.
        images: The folder above the `patch` folders, the one above `images/v1` and `images/v2`, or a flat one.

    Raises:
        FileNotFoundError: There is no such annotation file.
        ValueError: It is not of this format.
    """

    def places(name: str) -> tuple[Path, ...]:
        parts = PurePosixPath(name).parts
        return tuple(dict.fromkeys((images / name, images.joinpath(*parts[-2:]), images / parts[-1])))

    return read_coco_document(annotations, places)
