"""Non-maximum suppression of recognition results: of answers about the same place the surest stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def result_nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> list[int]:
    """Return the indices of the results that stay, surest first.

    A result stays when its overlap with every surer one that stays is at most the threshold. Overlap is intersection
    over union in PP-ShiTu's convention of pixel indices, where a box from x1 to x2 is x2 - x1 + 1 pixels wide.

    Args:
        boxes: [n, 4], x1 y1 x2 y2 in pixels.
        scores: [n], larger is surer.
        iou_threshold: 0 to 1; the original uses 0.05.

    Raises:
        ValueError: boxes and scores do not belong together.
    """
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    sureness = np.asarray(scores, dtype=np.float64).ravel()
    if len(corners) != len(sureness):
        raise ValueError(f"{len(corners)} boxes but {len(sureness)} scores; give one score a box")
    waiting = np.argsort(-sureness, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, others = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = others[pixel_iou(corners[best], corners[others]) <= iou_threshold]
    return kept


def pixel_iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the overlap of a box [4] with others [n, 4], in the convention of `result_nms`."""
    intersection = _intersection(box, others)
    return np.asarray(intersection / (_area(box) + _area(others) - intersection))


def pixel_nesting(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of the smaller of a box [4] and each of the others [n, 4] lies in the larger one."""
    return np.asarray(_intersection(box, others) / np.minimum(_area(box), _area(others)))


def _intersection(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    upper_left = np.maximum(box[:2], others[:, :2])
    lower_right = np.minimum(box[2:], others[:, 2:])
    return np.asarray(np.prod(np.clip(lower_right - upper_left + 1, 0, None), axis=1))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.prod(boxes[..., 2:] - boxes[..., :2] + 1, axis=-1))
