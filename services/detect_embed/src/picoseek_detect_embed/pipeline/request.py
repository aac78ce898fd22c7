"""What a caller wants of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from picoseek_bundle import RawFormat

from picoseek_detect_embed.models.detector import Detector
from picoseek_detect_embed.models.embedder import Embedder

BoxTuple = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the upright picture; the right and the lower edge are exclusive."""


@dataclass(frozen=True)
class EncodedPicture:
    """A picture file."""

    data: bytes
    """JPEG, PNG, WebP or BMP."""


@dataclass(frozen=True)
class RawPicture:
    """Pixels that are decoded already."""

    data: bytes
    """The pixels."""
    layout: RawFormat
    """Their order in memory."""
    width: int
    """Pixels a row."""
    height: int
    """Rows."""
    strides: tuple[int, ...]
    """Bytes from row to row a plane; empty: packed."""


PictureSource = EncodedPicture | RawPicture
"""The forms in which a picture comes."""


@dataclass(frozen=True)
class Region:
    """A part of a picture that the caller wants embedded."""

    id: str
    """Caller's name of it."""
    box: BoxTuple
    """Where it is; not clipped yet."""


class WholePolicy(Enum):
    """When the whole picture is a candidate."""

    FALLBACK = "fallback"
    """When there is neither a region nor a detection."""
    ALWAYS = "always"
    """Beside the others."""
    NEVER = "never"
    """Not at all."""


@dataclass(frozen=True)
class CropFormat:
    """How crops are returned."""

    max_side: int = 320
    """Longer side in pixels; larger crops are reduced."""
    quality: int = 90
    """JPEG quality, 1 to 100."""


@dataclass(frozen=True)
class RecognitionOptions:
    """What to do with a picture."""

    detector: Detector | None
    """Finds candidates; None: only regions and the whole picture."""
    embedder: Embedder | None
    """Makes vectors; None: boxes only."""
    score_threshold: float
    """Detections below it are left out."""
    max_detections: int
    """At most so many detections."""
    whole: WholePolicy
    """When the whole picture is a candidate."""
    crop: CropFormat | None
    """Return candidates' pixels; None: do not."""


@dataclass(frozen=True)
class PictureJob:
    """One picture and what to do with it."""

    source: PictureSource
    """The picture."""
    regions: tuple[Region, ...]
    """Parts that are candidates whatever the detector finds."""
    options: RecognitionOptions
    """What to do."""
    arrived_at: float
    """By the event loop's clock, in seconds."""
    deadline: float
    """When the answer is worthless, by the event loop's clock, in seconds."""

    @property
    def known_crops(self) -> int:
        """Crops to embed that are known before detection."""
        if self.options.embedder is None:
            return 0
        return len(self.regions) + (self.options.whole is WholePolicy.ALWAYS)
