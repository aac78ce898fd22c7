"""Streams of frames and what comes back about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from picoseek.box import Region
from picoseek.detect_embed import DetectEmbedOptions
from picoseek.errors import PicoSeekError
from picoseek.picture import PictureSource
from picoseek.picture_object import PictureObject, StageTimings


class FramePolicy(Enum):
    """What happens to frames that come faster than they are worked off."""

    EVERY_FRAME = "every_frame"
    """Every frame is worked on; the sender waits."""
    LATEST_WINS = "latest_wins"
    """Only the newest waiting frame is kept; each one left out is named in a FrameDropped."""


class DropReason(Enum):
    """Why a frame was left out."""

    UNSPECIFIED = "unspecified"
    """Not said."""
    SUPERSEDED = "superseded"
    """A newer frame took its place."""
    EXPIRED = "expired"
    """Its timeout or the stream's deadline passed before it was done."""
    OVERLOADED = "overloaded"
    """The service was too busy to take it."""


@dataclass(frozen=True)
class StreamOptions:
    """What to do with the frames of a stream."""

    detect_embed: DetectEmbedOptions = field(default_factory=DetectEmbedOptions)
    """Applies to every frame."""
    policy: FramePolicy = FramePolicy.EVERY_FRAME
    """What happens to frames that come faster than they are worked off."""
    max_in_flight: int = 0
    """Frames the service works on at once for this stream; 0: the service's default."""


@dataclass(frozen=True)
class Frame:
    """One frame of a stream."""

    frame_id: int
    """Caller's number of it, not negative; each frame of a stream has its own."""
    picture: PictureSource
    """The picture."""
    regions: Sequence[Region] = ()
    """Parts to embed whatever the detector finds."""
    captured_at: datetime | None = None
    """When it was taken, echoed. It names its time zone."""
    timeout_s: float | None = None
    """The frame is worthless after so many seconds and is then dropped; None: the service's default."""


@dataclass(frozen=True, eq=False)
class FrameObject:
    """An object of a frame, sent as soon as it is embedded."""

    frame_id: int
    """Frame.frame_id."""
    object: PictureObject
    """The object."""


@dataclass(frozen=True, eq=False)
class FrameDone:
    """All objects of a frame have come, or the frame failed."""

    frame_id: int
    """Frame.frame_id."""
    width: int
    """Width of the upright frame in pixels."""
    height: int
    """Height of the upright frame in pixels."""
    objects: int
    """Number of objects sent for it."""
    captured_at: datetime | None
    """Frame.captured_at."""
    timings: StageTimings
    """What the frame cost."""
    error: PicoSeekError | None = None
    """Why the frame failed; the stream goes on."""


@dataclass(frozen=True)
class FrameDropped:
    """A frame was left out: it has no FrameDone, and objects that were finished before may have come."""

    frame_id: int
    """Frame.frame_id."""
    reason: DropReason
    """Why."""


StreamAnswer = FrameObject | FrameDone | FrameDropped
"""One answer of a stream; answers about different frames may interleave."""
