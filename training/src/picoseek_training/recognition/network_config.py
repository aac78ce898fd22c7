"""Which recognition model is meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from picoseek_training.bounds import Count, Positive, Weight
from picoseek_training.configuration import STRICT


@dataclass(frozen=True)
class HeadConfig:
    """The classifier above the embedding, which exists for training only; None keeps the head's own default."""

    __pydantic_config__ = STRICT

    kind: Literal["fc", "arc_margin", "cos_margin", "circle_margin"]
    margin: Weight | None = None
    scale: Positive | None = None


@dataclass(frozen=True)
class NetworkConfig:
    """A recognition model of the registry."""

    __pydantic_config__ = STRICT

    name: str = "general_recognition_v2"
    """A recognition model by name, or a PP-LCNet or PP-LCNetV2, which then gets a BNNeck of its own."""
    dimension: Count = 512
    """Components of the embedding."""
    backbone: dict[str, Any] = field(default_factory=dict)
    """Settings of the backbone to replace, such as `scale: 0.5` or `dropout: 0.0`."""
    head: HeadConfig | None = None
    """None leaves the head that the model was published with, FC where there was none."""
