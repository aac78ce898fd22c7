"""What an embedder learns from a teacher while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from picoseek_training.distillation.comparison import Comparison
from picoseek_training.distillation.config import (
    AverageTeacherConfig,
    DistillationConfig,
    FileTeacherConfig,
    NetworkTeacherConfig,
    PeerTeacherConfig,
)
from picoseek_training.distillation.teachers import (
    FileTeacher,
    FixedModel,
    ModelAnswers,
    Teacher,
    load_model_weights,
    read_model_state,
)
from picoseek_training.networks.recognition import RecModel, RecognitionOutput
from picoseek_training.recognition.network_config import NetworkConfig

Build = Callable[[NetworkConfig | None, int | None], RecModel]
"""Makes a model with fresh weights: the network, None for the student's own, and its classes, None for no head."""


class Distiller:
    """A teacher and the comparisons with it.

    `peer` is a second student, or None; `learning` holds everything beside the student that learns.

    Raises:
        FileNotFoundError: The teacher's file is missing.
        ValueError: Teacher and student cannot be compared; the message names the key.
    """

    def __init__(self, config: DistillationConfig, student: RecModel, build: Build, classes: int, size: int) -> None:
        """Make the teacher, and ask both sides about pictures of `size` pixels for the sizes of what they say."""
        if not config.compare:
            raise ValueError("distillation.compare: say what is compared")
        self.config = config
        self.peer: RecModel | None = None
        self._follower: FixedModel | None = None
        self._peer_answers: ModelAnswers | None = None
        self._teacher: Teacher | None = None
        theirs = {each.teacher_layer or each.layer for each in config.compare}
        self._student_answers = ModelAnswers(
            student, {each.layer for each in config.compare}, "distillation.compare.layer"
        )
        teacher = config.teacher
        if isinstance(teacher, FileTeacherConfig):
            missing = sorted(theirs - teacher.outputs.keys())
            if missing:
                raise ValueError(
                    f"distillation.teacher.outputs: {missing[0]!r} is compared, and no output has the name"
                )
            self._teacher = FileTeacher(teacher)
        elif isinstance(teacher, NetworkTeacherConfig):
            self._teacher = FixedModel(_trained(teacher, build, classes, theirs), theirs)
        elif isinstance(teacher, AverageTeacherConfig):
            self._teacher = self._follower = FixedModel(build(None, classes), theirs)
            self._follower.model.set_state_dict(student.state_dict())
        else:
            self.peer = _peer(teacher, build, classes)
            self._peer_answers = ModelAnswers(self.peer, theirs, "distillation.compare.teacher_layer")
        self.comparisons = self._comparisons(student, size)
        self.learning: list[nn.Layer] = [self.comparisons] if self.peer is None else [self.peer, self.comparisons]

    @property
    def follows(self) -> bool:
        """Whether the teacher is the student's average."""
        return self._follower is not None

    def follow(self, averaged: Mapping[str, Any]) -> None:
        """Let the teacher be the student's average."""
        if self._follower is not None:
            self._follower.model.set_state_dict({key: paddle.to_tensor(value) for key, value in averaged.items()})

    def __call__(
        self, output: RecognitionOutput, peer_output: RecognitionOutput | None, images: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the weighted sum of the comparisons for what the student, and the peer, answered."""
        ours = self._student_answers.of(output)
        if self._peer_answers is not None:
            assert peer_output is not None
            theirs = self._peer_answers.of(peer_output)
        else:
            assert self._teacher is not None
            theirs = self._teacher(images, labels)
        total = paddle.zeros([])
        for config, comparison in zip(self.config.compare, self.comparisons, strict=True):
            total = total + comparison(ours[config.layer], theirs[config.teacher_layer or config.layer], labels)
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of all that learns, as arrays."""
        return {
            str(index): {key: value.numpy() for key, value in layer.state_dict().items()}
            for index, layer in enumerate(self.learning)
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from saved weights."""
        for index, layer in enumerate(self.learning):
            layer.set_state_dict(state[str(index)])

    @paddle.no_grad()
    def _comparisons(self, student: RecModel, size: int) -> nn.LayerList:
        """Ask both sides about black pictures, for the sizes of what they say."""
        images, labels = paddle.zeros([2, 3, size, size]), paddle.zeros([2], dtype="int64")
        student.eval()
        output, peer_output = student(images, labels), None
        ours = self._student_answers.of(output)
        if self._peer_answers is not None:
            assert self.peer is not None
            self.peer.eval()
            peer_output = self.peer(images, labels)
            theirs = self._peer_answers.of(peer_output)
        else:
            assert self._teacher is not None
            theirs = self._teacher(images, labels)
        return nn.LayerList(
            [
                Comparison(each, ours[each.layer], theirs[each.teacher_layer or each.layer])
                for each in self.config.compare
            ]
        )


def _trained(config: NetworkTeacherConfig, build: Build, classes: int, compared: set[str]) -> RecModel:
    key = "distillation.teacher.weights"
    with_head = "logits" in compared
    if with_head:
        heads = [np.shape(value) for name, value in read_model_state(config.weights, key).items() if "head" in name]
        if not any(shape[-1] == classes for shape in heads if shape):
            raise ValueError(f"{key}: {config.weights} has no head for {classes} classes, so it gives no `logits`")
    model = build(config.network, classes if with_head else None)
    missing = [name for name in load_model_weights(model, config.weights, key) if not name.endswith("num_batches")]
    if missing:
        raise ValueError(f"{key}: {config.weights} lacks {missing[0]} and {len(missing) - 1} more of the network")
    return model


def _peer(config: PeerTeacherConfig, build: Build, classes: int) -> RecModel:
    model = build(config.network, classes)
    if config.start is not None:
        load_model_weights(model, config.start, "distillation.teacher.start")
    return model
