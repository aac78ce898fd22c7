"""Comparing what a student and a teacher say, whatever their sizes."""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.distillation.config import ComparisonConfig
from picoseek_training.losses.classification import CELoss
from picoseek_training.losses.distillation import DistanceLoss, DKDLoss, DMLLoss, KLDivLoss

Compare = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From the student's and the teacher's answer and labels [N] to a scalar."""

_OF_LOGITS = ("dml", "kl", "dkd", "cross_entropy")


class Comparison(nn.Layer):
    """One weighted comparison; what it learns is the student's way to the teacher's size."""

    def __init__(self, config: ComparisonConfig, student: Tensor, teacher: Tensor) -> None:
        """Take an answer of each side, for the sizes.

        Raises:
            ValueError: Logits of different classes are compared, or answers of different kinds.
        """
        super().__init__()
        ours, theirs = list(student.shape), list(teacher.shape)
        if len(ours) != len(theirs) or len(ours) not in (2, 4):
            raise ValueError(
                f"distillation.compare: {config.layer} is {ours} and the teacher's {theirs}; both must be vectors, "
                "or maps"
            )
        same = ours[1] == theirs[1]
        if config.kind in _OF_LOGITS and (len(ours) != 2 or not same):
            raise ValueError(
                f"distillation.compare: {config.kind} compares logits of the same classes; {config.layer} is {ours} "
                f"and the teacher's {theirs}"
            )
        self.config = config
        self.alignment: nn.Layer | None = None
        if not same and config.kind != "structure":
            self.alignment = nn.Linear(ours[1], theirs[1]) if len(ours) == 2 else nn.Conv2D(ours[1], theirs[1], 1)
        self._compare = _comparison(config)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted loss."""
        if self.alignment is not None:
            student = self.alignment(student)
        if student.ndim == 4 and student.shape[2:] != teacher.shape[2:]:
            teacher = F.interpolate(teacher, size=student.shape[2:], mode="bilinear", align_corners=False)
        return self.config.weight * self._compare(student, teacher, labels)


def _comparison(config: ComparisonConfig) -> Compare:
    if config.kind == "dml":
        return lambda student, teacher, _: DMLLoss()(student, teacher)
    if config.kind == "kl":
        return lambda student, teacher, _: KLDivLoss(config.temperature or 4.0)(student, teacher)
    if config.kind == "dkd":
        dkd = DKDLoss(config.temperature or 1.0, config.alpha, config.beta)
        return dkd.__call__
    if config.kind == "cross_entropy":
        return lambda student, teacher, _: CELoss()(student, teacher)
    if config.kind == "cosine":
        return lambda student, teacher, _: (
            1.0 - (F.normalize(student.flatten(1)) * F.normalize(teacher.flatten(1))).sum(axis=1).mean()
        )
    if config.kind == "structure":
        return lambda student, teacher, _: (_cosines(student) - _cosines(teacher)).square().mean()
    distance = DistanceLoss(config.kind)
    return lambda student, teacher, _: distance(student, teacher)


def _cosines(answers: Tensor) -> Tensor:
    unit = F.normalize(answers.flatten(1))
    return paddle.matmul(unit, unit, transpose_y=True)
