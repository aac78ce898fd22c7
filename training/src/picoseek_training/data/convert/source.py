"""What a native format says about its pictures, before anything is cleaned or chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceBox:
    """A box as the set gives it, in pixels; it may leave the picture."""

    x1: float
    y1: float
    x2: float
    y2: float
    ignored: bool = False
    """A crowd or a doubtful object: neither to be found nor background."""


@dataclass(frozen=True)
class SourcePicture:
    """A picture of a set."""

    name: str
    """As the set calls it, with forward slashes; pictures are put in the order of their names."""
    places: tuple[Path, ...]
    """Where the file may lie; the first place that exists is taken."""
    boxes: tuple[SourceBox, ...]
    width: int | None = None
    """In pixels; None where the format does not say."""
    height: int | None = None
