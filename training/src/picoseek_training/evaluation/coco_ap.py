"""Class-agnostic COCO average precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Best boxes of a picture that count."""


@dataclass(frozen=True)
class PictureDetections:
    """What was found in one picture, and what is there; boxes are x1, y1, x2, y2 in the same pixels."""

    boxes: NDArray[np.float32]
    """[n, 4]."""
    scores: NDArray[np.float32]
    """[n]."""
    truth: NDArray[np.float32]
    """[m, 4]."""
    ignored: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """[k, 4] crowd regions: what is found in them and is no truth counts neither for nor against."""


@dataclass(frozen=True)
class DetectionMetrics:
    """COCO measures over all object sizes, at most 100 boxes a picture; nan without any truth."""

    ap: float
    """Mean over IoU .50:.05:.95."""
    ap50: float
    """At IoU .50."""
    ar: float
    """Largest recall, mean over IoU .50:.05:.95."""
    best_box_iou50: float
    """Share of pictures with truth whose best-scored box overlaps a truth by more than half."""


def iou_matrix(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU [n, m] of boxes [n, 4] and [m, 4]; a pair without area has 0."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.prod(np.maximum(sides, 0.0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - intersection
    overlap: NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return overlap


def detection_metrics(pictures: Sequence[PictureDetections]) -> DetectionMetrics:
    """Measure detections the way COCO's reference code does, with one class."""
    total_truth = sum(len(picture.truth) for picture in pictures)
    if total_truth == 0:
        return DetectionMetrics(*(float("nan"),) * 4)

    scores: list[NDArray[np.float32]] = []
    matches: list[NDArray[np.bool_]] = []
    counted: list[NDArray[np.bool_]] = []
    best_hits: list[bool] = []
    for picture in pictures:
        order = np.argsort(-picture.scores, kind="stable")[:MAX_DETECTIONS]
        overlaps = iou_matrix(picture.boxes[order], picture.truth)
        scores.append(picture.scores[order])
        matched = _match(overlaps)
        in_crowd = _share_inside(picture.boxes[order], picture.ignored)[None] >= IOU_THRESHOLDS[:, None]
        matches.append(matched)
        counted.append(matched | ~in_crowd)
        if len(picture.truth):
            best = np.flatnonzero(counted[-1][0])[:1]
            best_hits.append(bool(len(best) and overlaps[best[0]].max() > 0.5))

    order = np.argsort(-np.concatenate(scores), kind="stable")
    true_positive = np.concatenate(matches, axis=1)[:, order]
    counts = np.concatenate(counted, axis=1)[:, order]
    precisions = [_average_precision(row[kept], total_truth) for row, kept in zip(true_positive, counts, strict=True)]
    recalls = true_positive.sum(axis=1) / total_truth
    return DetectionMetrics(
        ap=float(np.mean(precisions)),
        ap50=precisions[0],
        ar=float(np.mean(recalls)),
        best_box_iou50=float(np.mean(best_hits)),
    )


def _share_inside(boxes: NDArray[np.float32], regions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest part [n] of each box [n, 4] that lies in one of the regions [k, 4]."""
    a, b = boxes.astype(np.float64)[:, None], regions.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.prod(np.maximum(sides, 0.0), axis=-1)
    area = np.prod(a[..., 2:] - a[..., :2], axis=-1)
    share: NDArray[np.float64] = np.divide(inside, area, out=np.zeros_like(inside), where=area > 0)
    return share.max(axis=1, initial=0.0)


def _match(overlaps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[thresholds, n]: whether each box, best first, takes a truth that no better box took."""
    detections, truths = overlaps.shape
    matched = np.zeros((len(IOU_THRESHOLDS), detections), bool)
    for row, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(truths, bool)
        for detection in range(detections):
            candidates = np.where(free & (overlaps[detection] >= threshold), overlaps[detection], -1.0)
            if truths and candidates.max() >= 0.0:
                # The reference code lets the last of equal overlaps win.
                free[truths - 1 - int(np.argmax(candidates[::-1]))] = False
                matched[row, detection] = True
    return matched


def _average_precision(true_positive: NDArray[np.bool_], total_truth: int) -> float:
    """Area under the precision envelope, sampled at 101 recalls."""
    hits = np.cumsum(true_positive)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    positions = np.searchsorted(hits / total_truth, RECALL_POINTS, side="left")
    return float(np.where(positions < len(hits), np.append(envelope, 0.0)[positions], 0.0).mean())
