"""What a detector learns from another one, or from its own average, while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.detector.config import DetectorComparisonConfig, DetectorDistillationConfig
from picoseek_training.detector.weights import load_weights
from picoseek_training.losses.detector_distillation import CWDLoss, FGDLoss, LDLoss, focal_masks
from picoseek_training.networks.picodet.detector import DensePredictions, PicoDet
from picoseek_training.networks.registry import create

_SMALLEST = 1e-6


class DetectorDistiller(nn.Layer):
    """A teacher and the comparisons with it; what learns here are the ways between the two networks' channels.

    Raises:
        FileNotFoundError: The teacher's weights are missing.
        ValueError: Teacher and student cannot be compared; the message names the key.
    """

    def __init__(self, config: DetectorDistillationConfig, student: PicoDet, network: str) -> None:
        super().__init__()
        if not config.compare:
            raise ValueError("distillation.compare: say what is compared")
        self.config = config
        self._answers_logits = student.head.classes_are_logits
        # In a tuple, so that it is no part of this layer: it does not learn and is in no checkpoint.
        self._teacher = (_teacher(config, student, network),)
        ours, theirs = student.config, self._teacher[0].config
        if ours.strides != theirs.strides or ours.reg_max != theirs.reg_max:
            raise ValueError("distillation.teacher.network: its pyramid has other strides or distances")
        levels = range(len(ours.strides))
        same = ours.channels == theirs.channels
        maps = any(each.kind in ("cwd", "fgd") for each in config.compare)
        self.alignments = nn.LayerList(
            [nn.Conv2D(ours.channels, theirs.channels, 1) for _ in levels] if maps and not same else []
        )
        self.focal = nn.LayerList(
            [
                nn.LayerList([FGDLoss(theirs.channels) for _ in levels] if each.kind == "fgd" else [])
                for each in config.compare
            ]
        )

    @property
    def teacher(self) -> PicoDet:
        """The network that teaches."""
        return self._teacher[0]

    @property
    def follows(self) -> bool:
        """Whether the teacher is the student's average."""
        return self.config.teacher.kind == "average"

    def follow(self, averaged: Mapping[str, Any]) -> None:
        """Let the teacher be the student's average; right after a cycle's end there is none, and it stays."""
        if averaged:
            self.teacher.set_state_dict({key: paddle.to_tensor(value) for key, value in averaged.items()})

    def forward(
        self,
        image: Tensor,
        features: Sequence[Tensor],
        predictions: DensePredictions,
        truth: PaddedTruth,
        positives: Tensor,
    ) -> Tensor:
        """Return the weighted sum of the comparisons.

        Args:
            image: [N, 3, H, W] normalised pictures.
            features: The student's maps of its neck, a level each.
            predictions: The student's.
            truth: Ground truth in input pixels.
            positives: [N, L] weights of the cells that have a box, 0 elsewhere.
        """
        with paddle.no_grad():
            taught = self.teacher.neck(self.teacher.backbone(image))
            answers = self.teacher.flatten(self.teacher.head(taught))
        aligned = (
            [alignment(level) for alignment, level in zip(self.alignments, features, strict=True)]
            if len(self.alignments)
            else list(features)
        )
        total = paddle.zeros([])
        for each, focal in zip(self.config.compare, self.focal, strict=True):
            if each.kind == "ld":
                value = self._localisation(each, predictions, answers, positives)
            elif each.kind == "scores":
                value = self._scores(predictions, answers)
            elif each.kind == "cwd":
                value = sum(map(CWDLoss(each.temperature or 1.0), aligned, taught), paddle.zeros([]))
            else:
                value = self._focal(focal, aligned, taught, truth)
            total = total + each.weight * value
        return total

    def _localisation(
        self,
        config: DetectorComparisonConfig,
        predictions: DensePredictions,
        answers: DensePredictions,
        positives: Tensor,
    ) -> Tensor:
        weight = positives if config.region == "positives" else self.teacher.probabilities(answers).max(axis=2)
        width = predictions.distributions.shape[2]
        loss = LDLoss(config.temperature or 10.0)(
            predictions.distributions.reshape([-1, width]), answers.distributions.reshape([-1, width]),
            weight.flatten(), width // 4,
        )  # fmt: skip
        return loss / weight.sum().clip(min=1.0)

    def _scores(self, predictions: DensePredictions, answers: DensePredictions) -> Tensor:
        """Compare the scores of all cells; as in the quality focal loss, those that agree already fade."""
        target = self.teacher.probabilities(answers)
        score = F.sigmoid(predictions.classes) if self._answers_logits else predictions.classes
        entropy = F.binary_cross_entropy(score.clip(_SMALLEST, 1.0 - _SMALLEST), target, reduction="none")
        return (entropy * (score - target).square()).sum() / target.sum().clip(min=1.0)

    def _focal(self, focal: Any, aligned: Sequence[Tensor], taught: Sequence[Tensor], truth: PaddedTruth) -> Tensor:
        total = paddle.zeros([])
        for loss, ours, theirs, stride in zip(focal, aligned, taught, self.teacher.config.strides, strict=True):
            masks = focal_masks(truth.boxes, truth.valid, (ours.shape[2], ours.shape[3]), stride)
            total = total + loss(ours, theirs, tuple(paddle.to_tensor(mask) for mask in masks))
        return total


def _teacher(config: DetectorDistillationConfig, student: PicoDet, network: str) -> PicoDet:
    if config.teacher.kind == "average":
        teacher = PicoDet(student.config)
        teacher.set_state_dict(student.state_dict())
    else:
        built = create(config.teacher.network or network, num_classes=student.config.num_classes)
        assert isinstance(built, PicoDet)
        teacher = built
        load_weights(teacher, config.teacher.weights, "distillation.teacher.weights", whole=True)
    teacher.eval()
    return teacher
