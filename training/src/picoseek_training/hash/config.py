"""Configuration of a training of hash codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from picoseek_training.bounds import Count, Weight
from picoseek_training.configuration import STRICT
from picoseek_training.data.views import ViewConfig


@dataclass(frozen=True)
class HashLossConfig:
    """What is learned from, and how much each part counts."""

    __pydantic_config__ = STRICT

    kind: Literal["dshsd", "lcdsh", "dch"] = "dshsd"
    """Loss over the labels, see picoseek_training.losses.hashing."""
    labels: Weight = 1.0
    """Weight of that loss; 0 leaves the labels out."""
    alpha: Weight = 0.05
    """DSHSD: weight of the distances beside the classification."""
    quantisation: Weight | None = None
    """LCDSH and DCH: weight of the difference between features and bits; unset: as published, 3 and 0.1."""
    gamma: Annotated[float, Field(gt=0)] = 20.0
    """DCH: scale of the Cauchy distribution in bits."""
    structure: Weight = 0.0
    """Weight of the neighbourhoods of the start's vectors (picoseek_training.hash.neighbourhood); 0: as published."""
    whitening: Annotated[float, Field(gt=0)] | None = None
    """Shrinkage of the vectors' whitening (picoseek_training.embedder.within_class) before their neighbourhoods are
    taken; unset: the vectors as they are."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Temperature of the cosines in a neighbourhood: smaller looks at nearer neighbours only."""
    pairs: Weight = 0.0
    """Weight of telling pairs of views from others by their bits (picoseek_training.hash.contrast); 0: as published."""
    pairs_temperature: Annotated[float, Field(gt=0)] = 0.05
    """Temperature of the bits' cosines there: smaller minds the most alike only."""


@dataclass(frozen=True)
class HashBatchConfig:
    """Views of a step: some pictures of each of some classes, and others of any kind."""

    __pydantic_config__ = STRICT

    classes: Annotated[int, Field(ge=0)] = 64
    """Classes a step; 0 where no loss over the labels is wanted."""
    pictures: Count = 2
    """Pictures of each class."""
    others: Annotated[int, Field(ge=0)] = 0
    """Further views, all of one set, drawn without regard to labels; the neighbourhoods are learned on them alone."""
    pairs: Annotated[int, Field(ge=0)] = 0
    """Pairs of views of one class, all of one set (picoseek_training.hash.pair_sampler)."""


@dataclass(frozen=True)
class HashOptimizerConfig:
    """How weights move."""

    __pydantic_config__ = STRICT

    kind: Literal["adam", "sgd"] = "adam"
    rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak of the learning rate: linear warm-up, then half a cosine down to 0."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    divide_every: Count | None = None
    """Divide the rate by 10 every so many steps instead of warm-up and cosine."""
    weight_decay: Weight = 0.0
    """L2 penalty."""


@dataclass(frozen=True)
class HashTrainingConfig:
    """Everything that determines a run."""

    __pydantic_config__ = STRICT

    output: Path
    """Folder of the checkpoint and the log."""
    cache: Path
    """Folder of the start's vectors of all views, shared by runs."""
    data: Path
    """Folder of the public sets."""
    sets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Training sets by name, see picoseek_training.data.retrieval_sets."""
    steps: Annotated[int, Field(ge=0)]
    """Optimiser steps; 0 leaves the head as it begins."""
    start: Path | None = None
    """Bundle of the embedder that codes are made for; unset: the one that ships with PicoSeek."""
    bits: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 256
    """Length of a code."""
    train: Literal["head", "network"] = "head"
    """The head alone, on stored vectors, or the whole network; BatchNorm keeps its statistics then."""
    initial: Literal["rotation", "random"] = "rotation"
    """Begin with iterative quantisation (see picoseek_training.hash.rotation), or with random directions."""
    views: Count = 4
    """Fixed views of every picture; the first is the whole picture."""
    view: ViewConfig = field(default_factory=ViewConfig)
    batch: HashBatchConfig = field(default_factory=HashBatchConfig)
    loss: HashLossConfig = field(default_factory=HashLossConfig)
    optimizer: HashOptimizerConfig = field(default_factory=HashOptimizerConfig)
    seed: int = 1
    evaluation: tuple[str, ...] = ("grocery_train_to_val",)
    """Tasks to measure, codes against the start's vectors, see picoseek_training.data.retrieval_sets."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""
    evaluate_every: Count = 1000
    """Steps between evaluations."""

    def __post_init__(self) -> None:
        if self.loss.structure and self.batch.others < 2:
            raise ValueError("loss.structure learns from batch.others; set that to 2 at least")
        if self.loss.labels and not self.batch.classes:
            raise ValueError("loss.labels learns from batch.classes; set that to 1 at least, or loss.labels to 0")
        if self.loss.pairs and self.batch.pairs < 2:
            raise ValueError("loss.pairs learns from batch.pairs; set that to 2 at least")
