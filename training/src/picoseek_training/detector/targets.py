"""What a picture teaches: annotated boxes, the teacher's boxes, and regions to ignore."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.detector.config import TeacherConfig
from picoseek_training.evaluation.coco_ap import iou_matrix


@dataclass(frozen=True)
class PictureTargets:
    """Boxes x1, y1, x2, y2 in pixels of the network input."""

    boxes: NDArray[np.float32]
    """[n, 4] objects."""
    ignored: NDArray[np.float32]
    """[m, 4] regions that are neither object nor background."""


def annotated_targets(
    boxes: NDArray[np.float32],
    ignored: NDArray[np.float32],
    teacher_rows: NDArray[np.float32],
    config: TeacherConfig,
) -> PictureTargets:
    """Targets of an annotated picture: what only the teacher sees is ignored, not punished.

    Args:
        boxes: [n, 4] annotated objects.
        ignored: [k, 4] annotated regions that are neither object nor background.
        teacher_rows: [m, 6] class, score and box of the teacher's detections.
        config: Scores that count.
    """
    seen = teacher_rows[teacher_rows[:, 1] >= config.ignore_score, 2:]
    repeats = iou_matrix(seen, boxes).max(axis=1, initial=0.0) > config.nms_threshold
    return PictureTargets(boxes, np.concatenate([ignored, seen[~repeats]]))


def pseudo_targets(teacher_rows: NDArray[np.float32], config: TeacherConfig) -> PictureTargets:
    """Targets of a picture without annotations: the teacher's confident boxes; its doubtful ones are ignored."""
    score = teacher_rows[:, 1]
    doubtful = (score >= config.ignore_score) & (score < config.target_score)
    return PictureTargets(teacher_rows[score >= config.target_score, 2:], teacher_rows[doubtful, 2:])
