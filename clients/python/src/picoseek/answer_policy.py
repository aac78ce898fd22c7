"""From candidates to answers: what is close enough, and which of several answers about one place stays.

PP-ShiTu lets the whole picture compete with the boxes and suppresses, whatever the label, all but the surest of any
that touch (IoU > 0.05); users complained that the whole picture hides the right box and neighbours hide each other.
Here the whole picture hides nothing: it is an answer only where it is surer than every box and says something else.
Boxes of one label that overlap or lie in each other are one thing seen twice; boxes of different labels must nearly
coincide to be. An unknown box in a known one is a part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek.picture_object import ObjectSource
from picoseek.recognition import RecognizedObject
from picoseek.result_nms import pixel_nesting, result_nms


@dataclass(frozen=True)
class AnswerPolicy:
    """Which answers about one picture stay."""

    same_label_iou: float = 0.3
    """Of answers with one label that overlap more, the surest stays; 0 to 1."""
    other_label_iou: float = 0.7
    """Of answers with different labels that overlap more, the surest stays; 0 to 1. The original: both 0.05."""
    nesting: float = 0.8
    """Of answers with one label of which one lies in the other to this share of its area, the surest stays, and an
    unknown object that lies so in a known one is left out; above 1: never."""

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
        whole = next((found for found in objects if found.source is ObjectSource.WHOLE), None)
        if whole is not None and whole.known and _adds(whole, known, sureness):
            known = [whole, *known]
        unknown = self._unexplained([found for found in parts if not found.known], known)
        if whole is not None and not known and not unknown:
            unknown = [whole]
        return (*known, *unknown)

    def _distinct(
        self, known: list[RecognizedObject], sureness: Callable[[RecognizedObject], float]
    ) -> list[RecognizedObject]:
        by_label: defaultdict[str | None, list[RecognizedObject]] = defaultdict(list)
        for found in known:
            by_label[found.label].append(found)
        once: list[RecognizedObject] = []
        for group in by_label.values():
            apart: list[RecognizedObject] = []
            for found in _suppress(group, sureness, self.same_label_iou):
                if not self._lies_in(found, apart):
                    apart.append(found)
            once += apart
        return _suppress(once, sureness, self.other_label_iou)

    def _unexplained(self, unknown: list[RecognizedObject], known: list[RecognizedObject]) -> list[RecognizedObject]:
        apart = [found for found in unknown if not self._lies_in(found, known)]
        return _suppress(apart, lambda found: found.detector_score, self.other_label_iou)

    def _lies_in(self, found: RecognizedObject, others: list[RecognizedObject]) -> bool:
        nesting = pixel_nesting(np.array(found.box.as_list()), _boxes(others))
        return bool((nesting >= self.nesting).any())


def _boxes(objects: list[RecognizedObject]) -> NDArray[np.float64]:
    return np.array([found.box.as_list() for found in objects], dtype=np.float64).reshape(-1, 4)


def _suppress(
    objects: list[RecognizedObject], sureness: Callable[[RecognizedObject], float], iou_threshold: float
) -> list[RecognizedObject]:
    scores = [sureness(found) for found in objects]
    return [objects[index] for index in result_nms(_boxes(objects), scores, iou_threshold)]


def _adds(
    whole: RecognizedObject, known: list[RecognizedObject], sureness: Callable[[RecognizedObject], float]
) -> bool:
    return all(found.label != whole.label and sureness(found) < sureness(whole) for found in known)
