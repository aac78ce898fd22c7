"""Configuration of a detector's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.optimization.ema import EmaConfig


@dataclass(frozen=True)
class SetConfig:
    """A set of pictures to learn from."""

    __pydantic_config__ = STRICT

    name: str
    """Name in logs."""
    share: float
    """Part of the samples that comes from this set; the shares of all sets are normalised."""
    images: Path
    """Folder of the pictures."""
    annotations: Path | None = None
    """COCO file; without it the pictures under `images` are used, and the teacher's boxes are their truth."""
    pictures: int | None = None
    """Use only so many pictures of a set without annotations, at even distances in the order of their paths."""


@dataclass(frozen=True)
class EvaluationSetConfig:
    """A labelled set to measure on."""

    __pydantic_config__ = STRICT

    name: str
    images: Path
    annotations: Path


@dataclass(frozen=True)
class TeacherConfig:
    """The official model, from whose weights the training starts and whose boxes it must not forget."""

    __pydantic_config__ = STRICT

    onnx: Path
    """PicoDet-XS with 80 classes, BatchNorm folded."""
    calibration_pictures: int = 400
    """Pictures, spread over all sets, that measure BatchNorm statistics and fit the class-agnostic score."""
    target_score: float = 0.4
    """A teacher's box with at least this score is an object, in sets without annotations."""
    ignore_score: float = 0.15
    """A box with at least this score that is no object is ignored: neither object nor background."""
    nms_threshold: float = 0.5
    """IoU above which the teacher's weaker box is dropped, and above which a box repeats an annotated one."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser with warm-up and half a cosine."""

    __pydantic_config__ = STRICT

    kind: Literal["momentum", "adamw"] = "adamw"
    """Momentum with L2 decay suits training from scratch, AdamW fine-tuning."""
    rate: float = 1e-3
    """Learning rate after the warm-up."""
    relative: bool = True
    """Multiply each tensor's rate by the root mean square of its values at the start (AdamW only).

    Where BatchNorm keeps its statistics, the sizes of the weights differ a thousandfold between layers, and one
    rate for all wrecks the small ones: those of the alignment branch first.
    """
    warmup_steps: int = 100
    momentum: float = 0.9
    """Of the momentum optimiser."""
    weight_decay: float = 4e-5
    clip_norm: float | None = 10.0
    """Largest norm of the whole gradient; none leaves it as it is."""


@dataclass(frozen=True)
class AugmentationConfig:
    """What happens to a sample before it is learned from."""

    __pydantic_config__ = STRICT

    sizes: tuple[int, ...] = (256, 288, 320, 352)
    """Sides of a batch's square input in pixels, drawn anew for each batch; multiples of 32, at least 192."""
    mosaic: float = 0.25
    """Probability that a sample is made of four pictures."""
    crop: float = 0.6
    """Probability of a random crop."""


@dataclass(frozen=True)
class BundleConfig:
    """What the exported bundle says about itself."""

    __pydantic_config__ = STRICT

    name: str
    version: str
    description: str
    license: str
    """SPDX expression of the weights' licence."""
    trained_on: tuple[str, ...]
    """Data sets, with their licences."""
    model_card: Path
    """Markdown file that ships with the weights."""
    start_share: float = 0.0
    """Share of the start's weights in the exported ones, 0 to 1; see `load_averaged`."""


@dataclass(frozen=True)
class DetectorTrainingConfig:
    """Everything that determines a training run."""

    __pydantic_config__ = STRICT

    output: Path
    """Folder of checkpoints, log and caches."""
    teacher: TeacherConfig
    train: tuple[SetConfig, ...]
    evaluation: tuple[EvaluationSetConfig, ...]
    bundle: BundleConfig
    steps: int
    """Optimiser steps of the whole run."""
    batch_size: int = 16
    size: int = 320
    """Side of the square input in evaluation, in pixels."""
    seed: int = 0
    assigner: Literal["atss", "task_aligned"] = "task_aligned"
    frozen_stages: tuple[str, ...] = ("conv1", "blocks2", "blocks3")
    """Parts of the backbone that keep their weights."""
    freeze_statistics: bool = True
    """BatchNorm normalises with the restored statistics, in training too."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    compile_depthwise: bool = True
    """Train with depthwise convolutions compiled for the CPU; Paddle's own are several times slower there."""
    checkpoint_every: int = 50
    """Steps between checkpoints."""
    evaluate_every: int = 200
    """Steps between evaluations."""


def load_config(path: Path) -> DetectorTrainingConfig:
    """Read the configuration of a training, see `read_configuration`."""
    return read_configuration(DetectorTrainingConfig, path)
