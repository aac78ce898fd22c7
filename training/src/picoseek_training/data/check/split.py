"""A split as it is listed, before any picture is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from picoseek_training.data.check.finding import Finding

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


@dataclass(frozen=True)
class ListedPicture:
    """A picture and what is said of it."""

    path: Path
    label: str | None = None
    """Its class, in labelled pictures."""
    width: int | None = None
    """In pixels, where the list says so."""
    height: int | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Split:
    """Pictures for one purpose, such as training or testing."""

    name: str
    unit: Literal["boxes", "pictures"]
    """What the classes are counted in: boxes of a COCO set, or labelled pictures."""
    pictures: tuple[ListedPicture, ...]
    classes: dict[str, int] = field(default_factory=dict)
    """How much each class has; 0 for one that is there by name only."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with the list itself."""
