"""What detect_embed is asked to do with pictures, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from picoseek.embedding import Embedding
from picoseek.errors import PicoSeekError
from picoseek.picture_object import PictureObject, StageTimings


class WholePicture(Enum):
    """When the whole picture is a candidate."""

    FALLBACK = "fallback"
    """When there is neither a region nor a detection."""
    ALWAYS = "always"
    """Always, beside the others."""
    NEVER = "never"
    """Never; a picture may then have no objects."""


@dataclass(frozen=True)
class CropOptions:
    """How crops are returned."""

    max_side: int = 320
    """Longer side in pixels; larger crops are reduced. At most 2048."""
    quality: int = 90
    """JPEG quality, 1 to 100."""


@dataclass(frozen=True)
class DetectEmbedOptions:
    """What to do with every picture of a call or stream."""

    detector: str = ""
    """Detector by name; empty: the service's default."""
    embedder: str = ""
    """Embedder by name; empty: the service's default."""
    skip_detection: bool = False
    """Use only the caller's regions and, by `whole_picture`, the whole picture."""
    skip_embedding: bool = False
    """Return boxes (and crops) without vectors."""
    score_threshold: float | None = None
    """Detections below it are left out, 0 to 1; None: the detector's default."""
    max_detections: int = 5
    """At most so many detections a picture, best first."""
    whole_picture: WholePicture = WholePicture.FALLBACK
    """When the whole picture is a candidate."""
    crop: CropOptions | None = None
    """Ask for the objects' pixels; None: no crops."""


@dataclass(frozen=True, eq=False)
class PictureResult:
    """What became of one picture."""

    id: str
    """PictureInput.id, or its position."""
    width: int
    """Width of the upright picture in pixels."""
    height: int
    """Height of the upright picture in pixels."""
    objects: tuple[PictureObject, ...]
    """What was found, by index."""
    timings: StageTimings
    """What the picture cost; queue and engine times are those of its slowest object."""
    error: PicoSeekError | None = None
    """Why this picture failed while others of the call did not."""


@dataclass(frozen=True, eq=False)
class EmbedResult:
    """What became of one picture that was embedded whole."""

    id: str
    """PictureInput.id, or its position."""
    embedding: Embedding | None
    """Its vector; None with an error."""
    timings: StageTimings
    """What it cost."""
    error: PicoSeekError | None = None
    """Why this picture failed while others of the call did not."""
