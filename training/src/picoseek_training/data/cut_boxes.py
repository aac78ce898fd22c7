"""Boxes of a set to learn from, cut to their pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.check.config import CheckConfig
from picoseek_training.data.coco import AnnotatedPicture
from picoseek_training.data.convert.boxes import clean_boxes
from picoseek_training.data.convert.source import SourceBox

_LOG = logging.getLogger(__name__)


@dataclass
class _Counts:
    cut: int = 0
    empty: int = 0


def cut_boxes(pictures: Sequence[AnnotatedPicture], annotations: Path) -> list[AnnotatedPicture]:
    """Cut boxes and ignored regions to their pictures, leave out those of which nothing remains, and log how many.

    Boxes that reach over by no more than `check-data` tolerates are cut without a word.

    Args:
        pictures: Those of the set.
        annotations: The file that they are from, for the log.
    """
    counts = _Counts()
    cut = [
        replace(
            picture,
            boxes=_cut(picture.boxes, picture.width, picture.height, counts),
            ignored=_cut(picture.ignored, picture.width, picture.height, counts),
        )
        for picture in pictures
    ]
    if counts.cut or counts.empty:
        _LOG.warning(
            "%d boxes of %s reached over their picture and were cut, %d were empty and left out; "
            "`picoseek-train check-data` lists them",
            counts.cut,
            annotations,
            counts.empty,
        )
    return cut


def _cut(boxes: NDArray[np.float32], width: int, height: int, counts: _Counts) -> NDArray[np.float32]:
    """Return what remains of boxes [n, 4] in a picture: [m, 4]."""
    low, high = boxes[:, :2], boxes[:, 2:]
    if (low >= 0).all() and (high <= (width, height)).all() and (low < high).all():
        return boxes
    kept: list[list[float]] = []
    for x1, y1, x2, y2 in boxes.tolist():
        clean = clean_boxes([SourceBox(x1, y1, x2, y2)], width, height, least_side=0.0)
        counts.empty += clean.degenerate
        for box in clean.boxes:
            kept.append([box.x1, box.y1, box.x2, box.y2])
            over = max(box.x1 - x1, box.y1 - y1, x2 - box.x2, y2 - box.y2)
            counts.cut += over > CheckConfig.tolerance
    return np.asarray(kept, np.float32).reshape(-1, 4)
