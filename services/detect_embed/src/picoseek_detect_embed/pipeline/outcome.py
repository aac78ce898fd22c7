"""What came of a picture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from picoseek_detect_embed.models.embedder import Vector
from picoseek_detect_embed.pipeline.request import BoxTuple


class CandidateSource(Enum):
    """How an object came to be a candidate."""

    REGION = "region"
    """Named by the caller."""
    DETECTED = "detected"
    """Found by the detector."""
    WHOLE = "whole"
    """The whole picture."""


@dataclass(frozen=True)
class Candidate:
    """A part of a picture that may be looked up."""

    index: int
    """Position among the picture's candidates."""
    source: CandidateSource
    """How it came to be one."""
    box: BoxTuple
    """Where it is, clipped to the picture."""
    score: float
    """The detector's confidence; 1 for regions and the whole picture."""
    label: str = ""
    """The detector's class name."""
    region_id: str = ""
    """The caller's name of a region."""


@dataclass(frozen=True)
class CropImage:
    """A candidate's pixels."""

    jpeg: bytes
    """JPEG file."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""


@dataclass
class Timings:
    """Seconds spent in each stage; 0 for stages that did not take place."""

    decode: float = 0.0
    """Decoding and turning upright."""
    detect_preprocess: float = 0.0
    """Resizing and normalising for the detector."""
    detect_queue: float = 0.0
    """Waiting for a detector engine."""
    detect: float = 0.0
    """In the detector engine."""
    embed_preprocess: float = 0.0
    """Resizing and normalising for the embedder."""
    embed_queue: float = 0.0
    """Waiting for an embedder engine."""
    embed: float = 0.0
    """In the embedder engine."""
    crop: float = 0.0
    """Encoding of the crop."""
    total: float = 0.0
    """From arrival to answer."""

    def keep_slowest(self, other: Timings) -> None:
        """Raise each stage to that of another object of the same picture."""
        for stage in fields(self):
            setattr(self, stage.name, max(getattr(self, stage.name), getattr(other, stage.name)))


@dataclass(frozen=True)
class FoundObject:
    """A candidate with what was asked for."""

    candidate: Candidate
    """What and where it is."""
    vector: Vector | None
    """Its vector, when asked for."""
    crop: CropImage | None
    """Its pixels, when asked for."""
    timings: Timings
    """What it cost."""


@dataclass(frozen=True)
class PictureOutcome:
    """A picture after all of its objects were delivered."""

    width: int
    """Width of the upright picture in pixels."""
    height: int
    """Height of the upright picture in pixels."""
    objects: int
    """Number of objects delivered."""
    timings: Timings
    """What it cost; each stage is that of its slowest object."""
