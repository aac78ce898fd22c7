"""Multi-class non-maximum suppression as one Paddle operator, so that it exports inside the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor


@dataclass(frozen=True)
class NmsConfig:
    """Thresholds of the suppression; the defaults are PicoDet's."""

    score_threshold: float = 0.025
    """Scores at or below it are dropped before anything else."""
    nms_top_k: int = 1000
    """Best boxes of a class that enter its suppression."""
    keep_top_k: int = 100
    """Best boxes of a picture, over all classes, that are returned."""
    nms_threshold: float = 0.6
    """A box that overlaps a better one of its class by more (IoU, continuous coordinates) is suppressed."""


DEFAULT_NMS = NmsConfig()


def multiclass_nms(boxes: Tensor, scores: Tensor, config: NmsConfig) -> tuple[Tensor, Tensor]:
    """Suppress overlapping boxes of each class and picture.

    Args:
        boxes: [N, L, 4] x1, y1, x2, y2.
        scores: [N, C, L] in [0, 1].
        config: Thresholds.

    Returns:
        Rows [M, 6] (class, score, x1, y1, x2, y2), pictures in order, within a picture by class, then by falling
        score; and how many rows belong to each picture [N], int32.
    """
    operators: Any = paddle._C_ops  # the public API has no wrapper of this operator
    no_background, no_decay = -1, 1.0
    rows, _, counts = operators.multiclass_nms3(
        boxes,
        scores,
        None,
        config.score_threshold,
        config.nms_top_k,
        config.keep_top_k,
        config.nms_threshold,
        True,
        no_decay,
        no_background,
    )
    return rows, counts
