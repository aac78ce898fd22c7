"""COCO 2017: `annotations/instances_train2017.json` beside the folder `train2017`."""

from __future__ import annotations

from pathlib import Path

from picoseek_training.data.convert.coco_document import read_coco_document
from picoseek_training.data.convert.source import SourcePicture


def read_coco2017(annotations: Path, images: Path) -> list[SourcePicture]:
    """Read the instances; boxes of crowds (`iscrowd` 1) are ignored ones.

    Args:
        annotations: `instances_*2017.json`.
        images: The folder with the pictures, such as `train2017`.

    Raises:
        FileNotFoundError: There is no such annotation file.
        ValueError: It is not of this format.
    """
    return read_coco_document(annotations, lambda name: (images / name,))
