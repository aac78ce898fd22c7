"""What a detector sees in several sizes of one picture, made one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import paddle
from paddle import Tensor

AGREEMENT_SHARE = 0.2
"""Share of what the other looks say in the score of a box."""
SAME_OBJECT_IOU = 0.6
"""Boxes of two looks that overlap by more show one object; the threshold of PicoDet's suppression."""
BOXES_A_LOOK = 150
"""Boxes of a look that take part, the best ones: a picture has at most 100 in the end."""
_LEAST = 1e-9


class Look(NamedTuple):
    """All boxes that one look finds."""

    boxes: Tensor
    """[N, L, 4] x1, y1, x2, y2 in pixels of the network's input."""
    scores: Tensor
    """[N, L, num_classes] in [0, 1]."""


def join(looks: Sequence[Look]) -> Look:
    """Put the boxes of several looks side by side, each rescored by the others.

    A box keeps 1 - `AGREEMENT_SHARE` of its score; the rest is the best score, class by class, that another look gives
    to boxes which overlap it by more than `SAME_OBJECT_IOU`, nothing if it has no such box; of several other looks, the
    mean. The box becomes the mean of itself and the best of those boxes of each look, by scores.

    Args:
        looks: at least one; a single one is returned as it is.

    Returns:
        [N, L, …] the best `BOXES_A_LOOK` of each look.
    """
    if len(looks) == 1:
        return looks[0]
    best = [_best(look) for look in looks]
    rescored = [_Rescored(look) for look in best]
    for first, second in combinations(range(len(best)), 2):
        # Once for both: comparing boxes is what costs.
        same = (_overlaps(best[first].boxes, best[second].boxes) > SAME_OBJECT_IOU).astype("float32")
        rescored[first].compare(best[second], same)
        rescored[second].compare(best[first], same.transpose([0, 2, 1]))
    parts = zip(*(one.result(len(looks) - 1) for one in rescored), strict=True)
    return Look(*(paddle.concat(part, axis=1) for part in parts))


def _best(look: Look) -> Look:
    count = min(BOXES_A_LOOK, look.boxes.shape[1])
    _, places = paddle.topk(look.scores.max(axis=2), count, axis=1)
    index = places.unsqueeze(2)
    return Look(*(paddle.take_along_axis(part, index.expand([-1, -1, part.shape[2]]), axis=1) for part in look))


class _Rescored:
    """A look, with the scores and boxes of others that show the same objects added up."""

    def __init__(self, look: Look) -> None:
        self._scores = look.scores
        self._agreed = paddle.zeros_like(look.scores)
        self._weights = look.scores.max(axis=2, keepdim=True)
        self._boxes = look.boxes * self._weights

    def compare(self, other: Look, same: Tensor) -> None:
        """Add another look; `same` [N, boxes, its boxes] is 1 where two show one object, else 0."""
        classes = paddle.unbind(other.scores, axis=2)
        self._agreed += paddle.stack([(same * scores.unsqueeze(1)).max(axis=2) for scores in classes], axis=2)
        seen = same * other.scores.max(axis=2).unsqueeze(1)
        weight = seen.max(axis=2, keepdim=True)
        nearest = seen.argmax(axis=2, keepdim=True).expand([-1, -1, 4])
        self._boxes += paddle.take_along_axis(other.boxes, nearest, axis=1) * weight
        self._weights += weight

    def result(self, others: int) -> Look:
        """Return boxes and scores after so many other looks."""
        scores = self._scores * (1 - AGREEMENT_SHARE) + self._agreed * (AGREEMENT_SHARE / others)
        return Look(self._boxes / (self._weights + _LEAST), scores)


def _overlaps(first: Tensor, second: Tensor) -> Tensor:
    """IoU [N, A, B] of boxes [N, A, 4] and [N, B, 4]."""
    a, b = first.unsqueeze(2), second.unsqueeze(1)
    sides = paddle.minimum(a[..., 2:], b[..., 2:]) - paddle.maximum(a[..., :2], b[..., :2])
    sides = paddle.clip(sides, min=0.0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (_areas(a) + _areas(b) - shared + _LEAST)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
