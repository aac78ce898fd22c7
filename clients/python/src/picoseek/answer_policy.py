"""From candidates to answers: what is close enough, and which of several answers about one place stays.

PP-ShiTu lets the whole picture compete with the boxes and suppresses, whatever the label, all but the surest of any
that touch (IoU > 0.05); users complained that the whole picture hides the right box and neighbours hide each other.
Here the whole picture hides nothing: it is an answer only where it is surer than every box and says something else.
Boxes of one label that overlap are one thing seen twice; boxes of different labels must nearly coincide to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from picoseek.picture_object import ObjectSource
from picoseek.recognition import RecognizedObject
from picoseek.result_nms import pixel_iou, result_nms


@dataclass(frozen=True)
class AnswerPolicy:
    """Which answers about one picture stay."""

    same_label_iou: float = 0.3
    """Of answers with one label that overlap more, the surest stays; 0 to 1."""
    other_label_iou: float = 0.7
    """Of answers with different labels that overlap more, the surest stays; 0 to 1. The original: both 0.05."""

    def choose(self, objects: Sequence[RecognizedObject], larger_is_closer: bool) -> tuple[RecognizedObject, ...]:
        """Return what stays: known objects, surest first, then unknown ones by falling detector score.

        Args:
            objects: all objects of one picture with their nearest items.
            larger_is_closer: direction of the scores.
        """

        def sureness(found: RecognizedObject) -> float:
            score = found.score or 0.0
            return score if larger_is_closer else -score

        parts = [found for found in objects if found.source is not ObjectSource.WHOLE]
        known = self._distinct([found for found in parts if found.known], sureness)
        unknown = self._unexplained([found for found in parts if not found.known], known)
        for whole in objects:
            if whole.source is not ObjectSource.WHOLE:
                continue
            if whole.known and _adds(whole, known, sureness):
                known = [whole, *known]
            elif not known and not unknown:
                unknown = [whole]
        return (*known, *unknown)

    def _distinct(
        self, known: list[RecognizedObject], sureness: Callable[[RecognizedObject], float]
    ) -> list[RecognizedObject]:
        by_label: defaultdict[str | None, list[RecognizedObject]] = defaultdict(list)
        for found in known:
            by_label[found.label].append(found)
        once = [kept for group in by_label.values() for kept in _suppress(group, sureness, self.same_label_iou)]
        return _suppress(once, sureness, self.other_label_iou)

    def _unexplained(self, unknown: list[RecognizedObject], known: list[RecognizedObject]) -> list[RecognizedObject]:
        answered = np.array([found.box.as_list() for found in known]).reshape(-1, 4)
        open_ones = [
            found
            for found in unknown
            if not (pixel_iou(np.array(found.box.as_list()), answered) > self.other_label_iou).any()
        ]
        return _suppress(open_ones, lambda found: found.detector_score, self.other_label_iou)


def _suppress(
    objects: list[RecognizedObject], sureness: Callable[[RecognizedObject], float], iou_threshold: float
) -> list[RecognizedObject]:
    boxes = [found.box.as_list() for found in objects]
    scores = [sureness(found) for found in objects]
    return [objects[index] for index in result_nms(boxes, scores, iou_threshold)]


def _adds(
    whole: RecognizedObject, known: list[RecognizedObject], sureness: Callable[[RecognizedObject], float]
) -> bool:
    return all(found.label != whole.label and sureness(found) < sureness(whole) for found in known)
