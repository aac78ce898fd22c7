"""Configuration of a detector's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from picoseek_training.bounds import Count, Momentum, Positive, Probability, Share, Weight, Whole
from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.optimization.ema import EmaConfig
from picoseek_training.optimization.update import Precision

_STRIDE = 32
"""Pixels between cells of the coarsest map of the backbone."""


@dataclass(frozen=True)
class SetConfig:
    """A set of pictures to learn from."""

    __pydantic_config__ = STRICT

    name: str
    """Name in logs."""
    share: Positive
    """Part of the samples that comes from this set; the shares of all sets are normalised."""
    images: Path
    """Folder of the pictures."""
    annotations: Path | None = None
    """COCO file; without it the pictures under `images` are used to keep what the teacher knows."""
    pictures: Count | None = None
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
    """The official model, from whose weights the training starts and whose answers it must not forget.

    In pictures without annotations all cells go on answering as the official model does; in annotated ones, objects
    that only it sees are neither taught nor punished.
    """

    __pydantic_config__ = STRICT

    onnx: Path
    """PicoDet-XS with 80 classes, BatchNorm folded."""
    calibration_pictures: Count = 400
    """Pictures, spread over all sets, that measure BatchNorm statistics and fit the class-agnostic score."""
    seen_score: Probability = 0.15
    """Score of its best class from which on it sees an object."""


@dataclass(frozen=True)
class NetworkDetectorTeacherConfig:
    """A trained detector, fixed: a larger one, or an earlier checkpoint of the same."""

    __pydantic_config__ = STRICT

    kind: Literal["network"]
    weights: Path
    """Checkpoint of ours or `.pdparams`, of as many classes."""
    network: str | None = None
    """Its name in the registry; None is the student's own."""


@dataclass(frozen=True)
class AverageDetectorTeacherConfig:
    """The detector's own average, which follows it: self-distillation."""

    __pydantic_config__ = STRICT

    kind: Literal["average"]


@dataclass(frozen=True)
class DetectorComparisonConfig:
    """One thing that detector and teacher say, and how it is compared."""

    __pydantic_config__ = STRICT

    kind: Literal["ld", "scores", "cwd", "fgd"]
    """`ld` compares the distributions of the sides' distances, `scores` those of all cells, `cwd` and `fgd` the maps of
    the neck."""
    weight: Weight = 1.0
    temperature: Positive | None = None
    """Of `ld` and `cwd`; None is 10 and 1."""
    region: Literal["positives", "teacher"] = "positives"
    """Where `ld` compares: at the cells that have a box, or wherever the teacher sees something."""


@dataclass(frozen=True)
class DetectorDistillationConfig:
    """Learning from another detector."""

    __pydantic_config__ = STRICT

    teacher: Annotated[NetworkDetectorTeacherConfig | AverageDetectorTeacherConfig, Field(discriminator="kind")]
    compare: Annotated[tuple[DetectorComparisonConfig, ...], Field(min_length=1)]
    labels: Weight = 1.0
    """Factor on the loss of the boxes."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser with warm-up and half a cosine."""

    __pydantic_config__ = STRICT

    kind: Literal["momentum", "adamw"] = "adamw"
    """Momentum with L2 decay suits training from scratch, AdamW fine-tuning."""
    rate: Positive = 1e-3
    """Learning rate after the warm-up."""
    relative: bool = True
    """Multiply each tensor's rate by the root mean square of its values at the start (AdamW only).

    Where BatchNorm keeps its statistics, the sizes of the weights differ a thousandfold between layers, and one
    rate for all wrecks the small ones: those of the alignment branch first.
    """
    warmup_steps: Whole = 100
    momentum: Momentum = 0.9
    """Of the momentum optimiser."""
    weight_decay: Weight = 4e-5
    clip_norm: Positive | None = 10.0
    """Largest norm of the whole gradient; none leaves it as it is."""


@dataclass(frozen=True)
class PasteConfig:
    """Cut-outs that are pasted, as objects, into pictures without annotations."""

    __pydantic_config__ = STRICT

    images: tuple[Path, ...]
    """Folders of pictures with transparency."""
    probability: Probability = 0.35
    """That a picture gets any."""
    most: Count = 3
    """Cut-outs a picture, at most."""
    sides: tuple[Share, Share] = (0.12, 0.5)
    """Smallest and largest side, as a share of the picture's."""
    first: Count | None = None
    """Use only so many of each folder, in the order of their names."""


@dataclass(frozen=True)
class AugmentationConfig:
    """What happens to a sample before it is learned from."""

    __pydantic_config__ = STRICT

    sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (256, 288, 320, 352)
    """Sides of a batch's square input in pixels, drawn anew for each batch; multiples of 32, at least 192."""
    mosaic: Probability = 0.25
    """Probability that a sample is made of four pictures."""
    crop: Probability = 0.6
    """Probability of a random crop."""
    paste: PasteConfig | None = None
    """Cut-outs to paste; None pastes none."""


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
    start_share: Probability = 0.0
    """Share of the start's weights in the exported ones, 0 to 1; see `load_averaged`."""


@dataclass(frozen=True)
class DetectorTrainingConfig:
    """Everything that determines a training run."""

    __pydantic_config__ = STRICT

    output: Path
    """Folder of checkpoints, log and caches."""
    train: tuple[SetConfig, ...]
    evaluation: tuple[EvaluationSetConfig, ...]
    bundle: BundleConfig
    teacher: TeacherConfig | None = None
    """None trains without the official model: every set needs annotations then."""
    network: str = "picodet_xs"
    """The detector's name in the registry; with `teacher` it is the teacher's own."""
    start: Path | None = None
    """Without `teacher`: weights to start from, a detector's or its backbone's, `.pdparams` or a checkpoint of ours.
    None starts from scratch."""
    steps: Count | None = None
    """Optimiser steps of the whole run,"""
    epochs: Positive | None = None
    """or passes over the pictures of all sets."""
    batch_size: Count = 16
    """Pictures a step, for each process."""
    size: int = 320
    """Side of the square input in evaluation, in pixels."""
    further_sizes: tuple[int, ...] = ()
    """Smaller sides in which it looks at the input again, in evaluation and in what is exported; multiples of 32."""
    seed: Whole = 0
    assigner: Literal["atss", "task_aligned"] = "task_aligned"
    """Of PicoHeadV2; the legacy head has SimOTA."""
    atss_steps: Whole = 0
    """So many steps begin with ATSS, whatever `assigner` says."""
    frozen_stages: tuple[str, ...] = ("conv1", "blocks2", "blocks3")
    """Parts of the backbone that keep their weights."""
    freeze_statistics: bool = True
    """BatchNorm normalises with the restored statistics, in training too."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    """`cycle` counts passes over the pictures here."""
    distillation: DetectorDistillationConfig | None = None
    """Learn from another detector, or from the own average, beside the boxes."""
    precision: Precision = "float32"
    """Of activations; bfloat16 and float16 need a GPU."""
    cache: bool = True
    """Keep decoded pictures at `size` on the disk; False decodes them anew each time, at their own size."""
    workers: Count = 2
    """Threads that decode and augment."""
    compile_depthwise: bool = True
    """Train with depthwise convolutions compiled for the CPU; Paddle's own are several times slower there."""
    checkpoint_every: Count = 50
    """Steps between checkpoints."""
    evaluate_every: Count = 200
    """Steps between evaluations."""

    def __post_init__(self) -> None:
        named = (("size", (self.size,)), ("further_sizes", self.further_sizes))
        for key, sizes in (*named, ("augmentation.sizes", self.augmentation.sizes)):
            for size in sizes:
                if size % _STRIDE or size < 2 * _STRIDE:
                    raise ValueError(f"{key}: {size} is no multiple of {_STRIDE} from {2 * _STRIDE} on")
        for size in self.further_sizes:
            if size >= self.size:
                raise ValueError(f"further_sizes: {size} is not smaller than size, {self.size}")


def load_config(path: Path) -> DetectorTrainingConfig:
    """Read the configuration of a training, see `read_configuration`."""
    return read_configuration(DetectorTrainingConfig, path)
