"""Boxes cut to their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from picoseek_training.data.convert.source import SourceBox


@dataclass(frozen=True)
class CleanBoxes:
    """The usable boxes of a picture."""

    boxes: tuple[SourceBox, ...]
    clipped: int
    """So many of them left the picture and were cut."""
    degenerate: int
    """So many were dropped: too narrow inside the picture, or not of finite numbers."""


def clean_boxes(boxes: Sequence[SourceBox], width: int, height: int, least_side: float) -> CleanBoxes:
    """Clip boxes to a picture and drop those whose shorter side is then below `least_side`; all in pixels."""
    kept: list[SourceBox] = []
    clipped = 0
    for box in boxes:
        if not all(math.isfinite(value) for value in (box.x1, box.y1, box.x2, box.y2)):
            continue
        inside = SourceBox(max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, width), min(box.y2, height), box.ignored)
        shorter = min(inside.x2 - inside.x1, inside.y2 - inside.y1)
        if shorter <= 0 or shorter < least_side:
            continue
        clipped += inside != box
        kept.append(inside)
    return CleanBoxes(tuple(kept), clipped, len(boxes) - len(kept))
