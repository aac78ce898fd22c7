"""What a detector sees in several sizes of one picture, made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import paddle
from paddle import Tensor

OTHERS_SHARE = 1 / 6
"""Share of the other looks in the score of a cell. A mean would lower what only one size shows well, the largest score
alone would rank what one look takes for an object like what all do."""
_LEAST_WEIGHT = 1e-9


class Level(NamedTuple):
    """Predictions of one level of one look."""

    grid: tuple[int, int, float]
    """Rows and columns of cells, and pixels of the network's input between them."""
    boxes: Tensor
    """[N, L, 4] x1, y1, x2, y2 in pixels of the network's input."""
    scores: Tensor
    """[N, L, num_classes] in [0, 1]."""


def fuse(looks: Sequence[Sequence[Level]]) -> tuple[Tensor, Tensor]:
    """Join the levels of all looks, those on the same grid cell by cell.

    An object of S pixels is one of S / 2 in a picture half as large, where the level of half the stride finds it, in
    the same cell of the same grid. There the best score counts by 1 - `OTHERS_SHARE`, the mean of the other looks by
    the rest, nothing standing for a look without that grid; the box is the mean by scores.

    Args:
        looks: at least one; levels of each.

    Returns:
        Boxes [N, L, 4] in pixels of the network's input and scores [N, L, num_classes].
    """
    levels: dict[tuple[int, int, float], list[Level]] = {}
    for look in looks:
        for level in look:
            levels.setdefault(level.grid, []).append(level)
    fused = [_fused(same, len(looks)) for same in levels.values()]
    return paddle.concat([boxes for boxes, _ in fused], axis=1), paddle.concat([scores for _, scores in fused], axis=1)


def _fused(same: Sequence[Level], looks: int) -> tuple[Tensor, Tensor]:
    if looks == 1:
        return same[0].boxes, same[0].scores
    scores = paddle.stack([level.scores for level in same])
    best = scores.max(axis=0)
    fused = best * (1 - OTHERS_SHARE)
    if len(same) == 1:
        return same[0].boxes, fused
    others = (scores.sum(axis=0) - best) / (looks - 1)
    weights = scores.max(axis=-1, keepdim=True) + _LEAST_WEIGHT
    boxes = (paddle.stack([level.boxes for level in same]) * weights).sum(axis=0) / weights.sum(axis=0)
    return boxes, fused + OTHERS_SHARE * others
