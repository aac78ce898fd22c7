"""Places in a picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright picture (after EXIF)."""

    x1: float
    """Left edge."""
    y1: float
    """Top edge."""
    x2: float
    """Right edge, exclusive."""
    y2: float
    """Bottom edge, exclusive."""

    def as_list(self) -> list[float]:
        """Return x1 y1 x2 y2."""
        return [self.x1, self.y1, self.x2, self.y2]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture that the caller wants embedded, whatever the detector finds."""

    box: Box
    """Where it is; it is clipped to the picture."""
    id: str = ""
    """Caller's name of it; empty: its position in the list."""
