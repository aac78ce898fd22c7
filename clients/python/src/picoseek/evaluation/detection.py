"""Average precision of boxes in COCO's definition, one class.

Detections are matched to truths picture by picture, best score first, at ten overlaps from 0.50 to 0.95; precision is
made monotonous and averaged over 101 recalls; at most 100 detections a picture count. A crowd may take any number of
detections and neither rewards nor punishes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""[n, 4], x1 y1 x2 y2 in pixels."""

MOST_DETECTIONS = 100
"""Detections a picture that count, best first."""
IOU_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
"""Overlaps at which a detection hits a truth."""
_RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class PictureBoxes:
    """Truth and detections of one picture."""

    truths: Boxes
    """[t, 4]."""
    crowds: NDArray[np.bool_]
    """[t], True where a truth is a crowd of things."""
    detections: Boxes
    """[d, 4]."""
    scores: NDArray[np.float64]
    """[d]."""


@dataclass(frozen=True)
class DetectionScores:
    """Means over all truths and pictures."""

    average_precision: float
    """Mean of the average precisions at overlaps 0.50 to 0.95; -1: there are no truths."""
    average_precision_50: float
    """Average precision at overlap 0.50."""
    average_recall: float
    """Mean of the recalls at overlaps 0.50 to 0.95 with 100 detections a picture."""
    best_box_iou50: float
    """Share of pictures with truths whose best-scored box overlaps a truth by more than 0.5."""


@dataclass(frozen=True, eq=False)
class _Matched:
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def score_detections(pictures: Sequence[PictureBoxes]) -> DetectionScores:
    """Score the detections of some pictures."""
    truths = sum(int((~picture.crowds).sum()) for picture in pictures)
    matched = [_match(picture) for picture in pictures]
    scores = np.concatenate([part.scores for part in matched]) if matched else np.empty(0)
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([part.hits for part in matched], axis=1)[:, order] if matched else np.empty((10, 0), bool)
    ignored = (
        np.concatenate([part.ignored for part in matched], axis=1)[:, order] if matched else np.empty((10, 0), bool)
    )
    curves = [_precision_and_recall(hits[row][~ignored[row]], truths) for row in range(len(IOU_THRESHOLDS))]
    precisions = np.array([precision for precision, _ in curves])
    return DetectionScores(
        average_precision=float(precisions.mean()),
        average_precision_50=float(precisions[0]),
        average_recall=float(np.mean([recall for _, recall in curves])),
        best_box_iou50=_best_box(pictures),
    )


def _match(picture: PictureBoxes) -> _Matched:
    order = np.argsort(-picture.scores, kind="stable")[:MOST_DETECTIONS]
    # Crowds last: a detection prefers a single thing.
    by_crowd = np.argsort(picture.crowds, kind="stable")
    crowds = picture.crowds[by_crowd]
    overlaps = box_iou(picture.detections[order], picture.truths[by_crowd], crowds)
    hits = np.zeros((len(IOU_THRESHOLDS), len(order)), dtype=np.bool_)
    ignored = np.zeros_like(hits)
    for row, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(len(crowds), dtype=np.bool_)
        for column, overlap in enumerate(overlaps):
            for candidates in (free & ~crowds, crowds):
                eligible = np.where(candidates, overlap, -1.0)
                # The last of equal overlaps, as pycocotools has it.
                best = len(eligible) - 1 - int(np.argmax(eligible[::-1])) if len(eligible) else -1
                if best >= 0 and eligible[best] >= min(threshold, 1 - 1e-10):
                    hits[row, column] = True
                    ignored[row, column] = crowds[best]
                    free[best] = False
                    break
    return _Matched(picture.scores[order], hits, ignored)


def _precision_and_recall(hits: NDArray[np.bool_], truths: int) -> tuple[float, float]:
    """Return average precision and final recall of detections in falling order of score."""
    if truths == 0:
        return -1.0, -1.0
    true_positives = np.cumsum(hits)
    recall = true_positives / truths
    precision = true_positives / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    sampled = np.append(falling, 0.0)[np.minimum(at, len(falling))]
    return float(sampled.mean()), float(recall[-1]) if len(recall) else 0.0


def _best_box(pictures: Sequence[PictureBoxes]) -> float:
    judged = [picture for picture in pictures if len(picture.truths)]
    if not judged:
        return -1.0
    good = 0
    for picture in judged:
        if len(picture.scores):
            best = picture.detections[[int(np.argmax(picture.scores))]]
            good += bool((box_iou(best, picture.truths) > 0.5).any())
    return good / len(judged)


def box_iou(boxes: Boxes, others: Boxes, crowds: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return intersection over union, [n, m]; with a crowd, intersection over the first box's own area.

    Args:
        boxes: [n, 4].
        others: [m, 4].
        crowds: [m], or None.
    """
    upper_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    lower_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = np.prod(np.clip(lower_right - upper_left, 0, None), axis=2)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[:, None]
    other_areas = np.prod(others[:, 2:] - others[:, :2], axis=1)[None, :]
    union = areas + other_areas - intersection
    if crowds is not None:
        union = np.where(crowds[None, :], areas, union)
    return np.asarray(intersection / np.maximum(union, 1e-12))
