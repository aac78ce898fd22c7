"""RPC, the Retail Product Checkout set: `instances_train2019.json` beside the folder `train2019`.

The file is COCO-like, with a category a product (200 of them). Pictures of `train2019` show a single product on a
turntable, those of `val2019` and `test2019` a whole checkout with a box a product.
"""

from __future__ import annotations

from pathlib import Path

from picoseek_training.data.convert.coco_document import read_coco_document
from picoseek_training.data.convert.source import SourcePicture


def read_rpc(annotations: Path, images: Path) -> list[SourcePicture]:
    """Read one split.

    Args:
        annotations: `instances_*2019.json`.
        images: The folder with the pictures, such as `train2019`.

    Raises:
        FileNotFoundError: There is no such annotation file.
        ValueError: It is not of this format.
    """
    return read_coco_document(annotations, lambda name: (images / name,))
