"""What a caller may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallLimits:
    """Upper bounds of calls and streams, and what holds where a caller says nothing."""

    max_pictures: int
    """Most pictures of a call."""
    max_regions: int
    """Most regions a picture."""
    max_detections: int
    """Most detections for which a caller may ask."""
    default_timeout_s: float
    """Deadline of calls and frames that have none, in seconds."""
    max_streams: int
    """Most streams at a time."""
    stream_in_flight: int
    """Frames worked on at once for a stream that does not say."""
    max_stream_in_flight: int
    """Most frames worked on at once for a stream."""
