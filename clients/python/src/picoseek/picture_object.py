"""What detect_embed finds in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from picoseek.box import Box
from picoseek.embedding import Embedding


class ObjectSource(Enum):
    """How an object came to be a candidate."""

    DETECTED = "detected"
    """Found by the detector."""
    REGION = "region"
    """Named by the caller."""
    WHOLE = "whole"
    """The whole picture."""


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Where the time went, in microseconds; stages that did not take place are 0."""

    decode_us: int = 0
    """Decoding of the file and turning upright."""
    detect_preprocess_us: int = 0
    """Resizing and normalising for the detector."""
    detect_queue_us: int = 0
    """Waiting for a detector engine."""
    detect_us: int = 0
    """In the detector engine (the whole batch's time)."""
    embed_preprocess_us: int = 0
    """Cutting out, resizing and normalising for the embedder."""
    embed_queue_us: int = 0
    """Waiting for an embedder engine."""
    embed_us: int = 0
    """In the embedder engine (the whole batch's time)."""
    crop_us: int = 0
    """Encoding of the crop."""
    total_us: int = 0
    """From arrival to answer."""


@dataclass(frozen=True)
class Crop:
    """An object's pixels as a picture file."""

    jpeg: bytes
    """JPEG file."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""


@dataclass(frozen=True, eq=False)
class PictureObject:
    """Something in a picture that can be looked up in a gallery."""

    index: int
    """Position among the picture's objects: regions, detections by falling score, the whole picture."""
    source: ObjectSource
    """How it came to be a candidate."""
    box: Box
    """Where it is."""
    detector_score: float
    """The detector's confidence, 0 to 1; 1 for regions and the whole picture."""
    embedding: Embedding | None = None
    """Its vector; None when embedding was skipped."""
    detector_label: str = ""
    """The detector's class name; empty for regions and the whole picture."""
    region_id: str = ""
    """The caller's region, with ObjectSource.REGION."""
    track_id: int = 0
    """The same thing in several frames of a stream; 0: not tracked."""
    crop: Crop | None = None
    """Its pixels, when crops were asked for."""
    timings: StageTimings = StageTimings()
    """What its way through the service cost."""
