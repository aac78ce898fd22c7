"""Configuration of a recognition model's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from picoseek_training.bounds import Cosine, Count, Momentum, Positive, Side, Weight, Whole
from picoseek_training.configuration import STRICT
from picoseek_training.data.recognition_augmentation import RecognitionAugmentation
from picoseek_training.distillation.config import DistillationConfig
from picoseek_training.optimization.ema import EmaConfig
from picoseek_training.optimization.update import Precision
from picoseek_training.recognition.network_config import NetworkConfig


@dataclass(frozen=True)
class LossConfig:
    """One part of what is minimised."""

    __pydantic_config__ = STRICT

    kind: Literal["cross_entropy", "triplet_angular_margin", "triplet_angular_margin_xbm", "triplet"]
    weight: Weight = 1.0
    smoothing: Momentum | None = None
    """Label smoothing of `cross_entropy`."""
    margin: Weight = 0.5
    """Of the triplet losses."""
    add_absolute: bool = False
    """Of `triplet_angular_margin`: similarities must also reach values of their own,"""
    absolute_weight: Weight = 1.0
    ap_value: Cosine = 0.9
    """this one the hardest positive's,"""
    an_value: Cosine = 0.5
    """and this one bounds the hardest negative's."""
    memory_start: Whole = 0
    """Steps before the memory of `triplet_angular_margin_xbm` is used."""
    memory_size: Count = 8192
    """Embeddings that it holds."""
    memory_weight: Weight = 1.0


@dataclass(frozen=True)
class SamplerConfig:
    """How a batch is drawn."""

    __pydantic_config__ = STRICT

    kind: Literal["pk", "shuffled"] = "pk"
    """`pk`: some classes with as many pictures each, which triplets need. `shuffled`: every picture once an epoch."""
    pictures_per_class: Count = 4
    """Of `pk`."""
    weighting: Literal["classes", "pictures"] = "classes"
    """Of `pk`: classes are equally likely, or as likely as they have pictures."""
    emphasis: dict[str, Positive] = field(default_factory=dict)
    """Of `pk`: factors on the chances of the classes of a set, by its name in `sets`."""


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights are moved; norms of the published networks carry no decay."""

    __pydantic_config__ = STRICT

    rate: Positive
    """Peak of the learning rate for the whole batch of all processes: linear warm-up, then half a cosine to zero."""
    kind: Literal["momentum", "adamw"] = "momentum"
    momentum: Momentum = 0.9
    weight_decay: Weight = 1e-5
    """L2 penalty of `momentum`, decoupled decay of `adamw`."""
    warmup_epochs: Weight = 5.0
    clip_norm: Positive | None = None
    """Largest norm of the whole gradient."""


@dataclass(frozen=True)
class RecognitionTrainingConfig:
    """Everything that determines a training run."""

    __pydantic_config__ = STRICT

    method: Literal["recognition"]
    """Tells this kind of recipe from the embedder's other one, `teacher_features`."""
    output: Path
    """Folder of checkpoints and log."""
    sets: tuple[str, ...]
    """Labelled training sets by name, see picoseek_training.data.retrieval_sets."""
    optimizer: OptimizerConfig
    epochs: Positive
    """Passes over the data; with `steps_per_epoch`, of so many steps."""
    losses: tuple[LossConfig, ...]
    network: NetworkConfig = field(default_factory=NetworkConfig)
    start: Path | None = None
    """Weights to start from, `.pdparams` or a checkpoint of ours: what has a tensor's name and shape is taken. None
    starts from scratch."""
    data: Path = Path()
    """Folder of the public data sets; own ones are named from the working directory."""
    cache: Path | None = None
    """Folder of decoded pictures, at `size`: for sets that fit on the disk. None decodes them anew each time."""
    batch_size: Count = 256
    """Pictures a step, for each process."""
    size: Side = 224
    """Side of the square input in pixels."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    augmentation: RecognitionAugmentation = field(default_factory=RecognitionAugmentation)
    ema: EmaConfig | None = None
    """Average of the weights that is measured and exported; None measures and exports the weights themselves."""
    distillation: DistillationConfig | None = None
    """Learn from a teacher beside the labels, or instead of them."""
    frozen_statistics: bool = False
    """BatchNorm normalises with its stored statistics while training, too."""
    precision: Precision = "float32"
    """Of activations; bfloat16 and float16 need a GPU."""
    steps_per_epoch: Count | None = None
    """None takes as many as the pictures make batches."""
    seed: Whole = 0
    workers: Count = 4
    """Threads that decode and augment."""
    evaluation: tuple[str, ...] = ()
    """Tasks to measure while training, see picoseek_training.data.retrieval_sets."""
    checkpoint_every: Count = 1000
    """Steps between checkpoints."""
    evaluate_every: Count | None = None
    """Steps between evaluations; None measures after each epoch."""
    log_every: Count = 10
    """Steps between entries of the log."""
