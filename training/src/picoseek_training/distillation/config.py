"""The part `distillation` of an embedder's recipe: who teaches, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from picoseek_training.bounds import Positive, Side, Weight, Whole
from picoseek_training.configuration import STRICT
from picoseek_training.recognition.network_config import NetworkConfig


@dataclass(frozen=True)
class FileTeacherConfig:
    """A trained network in a file, fixed."""

    __pydantic_config__ = STRICT

    kind: Literal["file"]
    file: Path
    """ONNX file, or the program of Paddle inference files (`.json`, `.pdmodel`) beside its weights."""
    outputs: dict[str, Whole] = field(default_factory=lambda: {"logits": 0})
    """Which output is what: numbers from 0 by the names that `layer` uses."""
    side: Side | None = None
    """Side of its square input in pixels, to which the student's views are resized; None: what the file fixes, else
    224."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from grey levels 0 … 255 of red, green, blue,"""
    std: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    """and divided by afterwards."""


@dataclass(frozen=True)
class NetworkTeacherConfig:
    """A model of the registry with trained weights, fixed: a larger one, or an earlier checkpoint of the same."""

    __pydantic_config__ = STRICT

    kind: Literal["network"]
    weights: Path
    """Checkpoint of ours or `.pdparams`; a head in it gives `logits` when it was trained on the same classes."""
    network: NetworkConfig | None = None
    """None is the student's own."""


@dataclass(frozen=True)
class AverageTeacherConfig:
    """The student's own average (`ema`), which follows it: self-distillation as mean teacher."""

    __pydantic_config__ = STRICT

    kind: Literal["average"]


@dataclass(frozen=True)
class PeerTeacherConfig:
    """A second student, which learns from the labels too and from the first as this one learns from it (DML, UDML)."""

    __pydantic_config__ = STRICT

    kind: Literal["peer"]
    network: NetworkConfig | None = None
    """None is the student's own, with other random weights."""
    start: Path | None = None
    """Weights to start from."""


TeacherChoice = Annotated[
    FileTeacherConfig | NetworkTeacherConfig | AverageTeacherConfig | PeerTeacherConfig, Field(discriminator="kind")
]


@dataclass(frozen=True)
class ComparisonConfig:
    """One thing that student and teacher say, and how it is compared."""

    __pydantic_config__ = STRICT

    layer: str
    """`logits`, `features`, `backbone` (its pooled output), or the name of a layer of the model, whose output is
    compared: `backbone.blocks5` of a PP-LCNet, `backbone.stages.2` of a PP-LCNetV2."""
    kind: Literal["dml", "kl", "dkd", "cross_entropy", "l1", "l2", "smooth_l1", "cosine", "structure"]
    """`dml`, `kl`, `dkd` and `cross_entropy` compare logits. `cosine` is 1 - cosine, `structure` the squared difference
    of the batch's cosines, whatever the dimensions."""
    weight: Weight = 1.0
    teacher_layer: str | None = None
    """Name of the teacher's side where it differs."""
    temperature: Positive | None = None
    """Of `kl` and `dkd`; None is 4 and 1."""
    alpha: Weight = 1.0
    """Weight of the target class in `dkd`,"""
    beta: Weight = 1.0
    """and of the others."""


@dataclass(frozen=True)
class DistillationConfig:
    """Learning from a teacher."""

    __pydantic_config__ = STRICT

    teacher: TeacherChoice
    compare: Annotated[tuple[ComparisonConfig, ...], Field(min_length=1)]
    """Where sizes differ, a linear map (of maps: a 1x1 convolution) learns to bring the student's to the teacher's."""
    labels: Weight = 1.0
    """Factor on the recipe's own losses; 0 learns from the teacher alone, as SSLD does."""
