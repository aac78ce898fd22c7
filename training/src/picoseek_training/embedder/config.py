"""Configuration of an embedder's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from picoseek_training.bounds import Count, Momentum, Positive, Side, Weight, Whole
from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.data.views import ViewConfig
from picoseek_training.distillation.config import DistillationConfig
from picoseek_training.distillation.linear_neck import LinearNeckConfig
from picoseek_training.distillation.teacher_features import TeacherConfig
from picoseek_training.optimization.ema import EmaConfig
from picoseek_training.optimization.update import Precision

STORED_SIDE = 224
"""Side at which decoded pictures are kept; views of any size are rendered from them."""


@dataclass(frozen=True)
class StudentConfig:
    """The network to train: PP-LCNetV2 in its ShiTu variant with a BNNeck."""

    __pydantic_config__ = STRICT

    scale: Positive = 1.0
    """Width factor."""
    dimension: Count = 512
    """Components of the embedding."""
    last_stage_stride: Literal[1, 2] = 1
    """1 keeps the resolution in the last stage, as ShiTu does; 2 halves it and the cost of that stage."""


@dataclass(frozen=True)
class StartConfig:
    """The trained network from which the student starts."""

    __pydantic_config__ = STRICT

    network: Literal["mobilenet_v1", "pp_lcnet"]
    """`mobilenet_v1` of the student's scale, or `pp_lcnet` of twice that: they have its widths."""
    weights: Path
    """A frozen TensorFlow graph of MobileNetV1, or the ONNX file of the official PP-LCNet for text orientation."""
    pictures: Count = 192
    """Calibration pictures, at the size of the first phase."""


@dataclass(frozen=True)
class LossConfig:
    """What is learned from, and how much each counts."""

    __pydantic_config__ = STRICT

    target: Weight = 4.0
    """Weight of 1 - cosine between the embedding and the teacher's."""
    structure: Weight = 8.0
    """Weight of the squared difference between the batch's cosines and the teacher's."""
    labels: Weight = 0.5
    """Weight of the classification by labels."""
    label_scale: Positive = 16.0
    """Factor on the cosines between embeddings and class directions, which are the logits."""
    smoothing: Momentum = 0.1
    """Label smoothing."""


@dataclass(frozen=True)
class PhaseConfig:
    """A part of the training at one input size."""

    __pydantic_config__ = STRICT

    side: Side
    """Side of the square input in pixels."""
    steps: Count
    """Optimiser steps."""
    rate: Positive
    """Peak of the learning rate: linear warm-up, then half a cosine."""
    batch_size: Count = 32
    """Pictures a step, for each process."""
    warmup_steps: Whole = 100


@dataclass(frozen=True)
class EmbedderTrainingConfig:
    """Everything that determines a training run."""

    __pydantic_config__ = STRICT

    output: Path
    """Folder of checkpoints, log and targets."""
    cache: Path
    """Folder of decoded pictures and teacher features, shared by runs."""
    data: Path
    """Folder of the data sets."""
    start: StartConfig
    """Where the student starts."""
    teachers: tuple[TeacherConfig, ...]
    """Fixed networks whose features are joined."""
    sets: tuple[str, ...]
    """Training sets by name, see picoseek_training.data.retrieval_sets."""
    phases: Annotated[tuple[PhaseConfig, ...], Field(min_length=1)]
    """One after the other; the optimiser starts anew with each."""
    method: Literal["teacher_features"] = "teacher_features"
    """Tells this kind of recipe from the embedder's other one, `recognition`."""
    views: Count = 4
    """Fixed views of every picture, whose teacher features are stored."""
    view: ViewConfig = field(default_factory=ViewConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    neck: LinearNeckConfig = field(default_factory=LinearNeckConfig)
    """The teacher's neck, learned from the labels first."""
    raw_weight: Weight = 0.5
    """Weight of the teacher's raw features beside its neck's output in the target."""
    distillation: DistillationConfig | None = None
    """Another teacher, asked in every step, beside the fixed ones: the student's own average, an earlier checkpoint,
    a network or a file."""
    frozen_stages: Whole = 0
    """So many stages, and the stem, stay as they start: their features are general, and a step costs less."""
    weight_decay: Weight = 0.02
    clip_norm: Positive = 5.0
    """Largest norm of the whole gradient."""
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.998))
    precision: Precision = "float32"
    """Of activations; bfloat16 and float16 need a GPU."""
    frozen_statistics: bool = False
    """BatchNorm normalises with its stored statistics while training, too."""
    seed: Whole = 1
    evaluation: tuple[str, ...] = ("grocery_train_to_val", "emoji_google_to_twitter")
    """Tasks to measure while training, see picoseek_training.data.retrieval_sets."""
    checkpoint_every: Count = 200
    """Steps between checkpoints."""
    evaluate_every: Count = 400
    """Steps between evaluations."""

    def __post_init__(self) -> None:
        if self.distillation is not None and self.distillation.teacher.kind == "peer":
            raise ValueError(
                "distillation.teacher: `peer`, a second student, is for recipes of `method: recognition`; "
                "here `average`, `network` and `file` teach"
            )


def load_config(path: Path) -> EmbedderTrainingConfig:
    """Read the configuration of a training, see `read_configuration`."""
    return read_configuration(EmbedderTrainingConfig, path)
