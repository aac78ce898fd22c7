"""Pictures with labels, and tasks made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A picture, or a region of one."""

    path: Path
    """Encoded file."""
    domain: str
    """Name of the set; labels are compared within a domain only."""
    label: str | None = None
    """Class or identity; None for pictures that only a teacher describes."""
    box: tuple[int, int, int, int] | None = None
    """x1, y1, x2, y2 in pixels of the upright file; None takes the whole picture."""


@dataclass(frozen=True)
class RetrievalTask:
    """Queries whose label is looked up among the nearest gallery pictures."""

    name: str
    gallery: tuple[Example, ...]
    queries: tuple[Example, ...]
