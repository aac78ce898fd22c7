"""Geometry that the assigners share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pairwise_iou(first: NDArray[np.float32], second: NDArray[np.float32], eps: float = 1e-10) -> NDArray[np.float32]:
    """IoU [..., n, m] of boxes [..., n, 4] and [..., m, 4]; leading axes broadcast, `eps` is added to the union."""
    intersection, union = _overlap(first, second)
    iou: NDArray[np.float32] = intersection / (union + eps)
    return iou


def pairwise_iou_and_giou(
    first: NDArray[np.float32], second: NDArray[np.float32], smallest: float = 1e-6
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """IoU and generalised IoU [n, m] of boxes [n, 4] and [m, 4]; areas that divide are at least `smallest`."""
    intersection, union = _overlap(first, second)
    union = np.maximum(union, smallest)
    a, b = first[:, None], second[None]
    enclosing = np.maximum(_area(np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])), smallest)
    iou: NDArray[np.float32] = intersection / union
    giou: NDArray[np.float32] = (iou - (enclosing - union) / enclosing).astype(np.float32)
    return iou, giou


def points_inside(points: NDArray[np.float32], boxes: NDArray[np.float32], eps: float = 1e-9) -> NDArray[np.bool_]:
    """[..., n, L]: whether each point [L, 2] lies inside each box [..., n, 4] by more than `eps`."""
    low = points - boxes[..., None, :2]
    high = boxes[..., None, 2:] - points
    inside: NDArray[np.bool_] = np.minimum(low.min(axis=-1), high.min(axis=-1)) > eps
    return inside


def top_k_mask(values: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """Mark the `k` largest values along the last axis; of equal ones the first."""
    chosen = np.argsort(-values, axis=-1, kind="stable")[..., :k]
    mask = np.zeros(values.shape, bool)
    np.put_along_axis(mask, chosen, True, axis=-1)
    return mask


def _overlap(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    a, b = first[..., :, None, :], second[..., None, :, :]
    intersection = _area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - intersection
    return intersection, union


def _area(low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.maximum(high - low, 0.0)
    area: NDArray[np.float32] = sides[..., 0] * sides[..., 1]
    return area
