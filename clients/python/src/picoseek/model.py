"""Models that detect_embed serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from picoseek.embedding import EmbeddingSpace


class ModelTask(Enum):
    """What a model does."""

    UNSPECIFIED = "unspecified"
    """Not said."""
    DETECTION = "detection"
    """Finds boxes."""
    EMBEDDING = "embedding"
    """Turns a crop into a vector."""


class ModelState(Enum):
    """Whether a model may be used."""

    UNSPECIFIED = "unspecified"
    """Not said."""
    LOADING = "loading"
    """Its engines start or restart."""
    READY = "ready"
    """It serves."""
    FAILED = "failed"
    """Its engines cannot be started; the service's log says why."""


@dataclass(frozen=True)
class Model:
    """A model."""

    name: str
    """Name in requests."""
    task: ModelTask
    """What it does."""
    state: ModelState
    """Whether requests may use it."""
    is_default: bool
    """The service uses it when a request names none."""
    input_width: int
    """Width of its input in pixels."""
    input_height: int
    """Height of its input in pixels."""
    space: EmbeddingSpace | None
    """Space of its vectors; None for detectors."""
    labels: tuple[str, ...]
    """Class names; detectors only."""
    score_threshold: float
    """Default score threshold; detectors only."""
    version: str
    """Version of the bundle."""
    license: str
    """SPDX expression of the weights' licence."""
    description: str
    """Network and how it was trained, for people."""
    digest: str
    """"sha256:" and 64 hex digits over the bundle's manifest."""
    engine: str
    """Engine that runs it, for instance "paddle-cpu"."""
    accuracy: Mapping[str, float]
    """Measured accuracy by name, as the manifest states it."""
