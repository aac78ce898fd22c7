"""What a recogniser answers."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek.box import Box
from picoseek.errors import PicoSeekError
from picoseek.picture_object import Crop, ObjectSource, StageTimings
from picoseek.stream import DropReason
from picoseek.verdict import Explanation, Verdict


@dataclass(frozen=True)
class Candidate:
    """An item of the gallery that looks like an object."""

    id: str
    """Its nearest reference: Document.id."""
    item: str
    """Document.item."""
    label: str
    """Name to show."""
    score: float
    """Of its nearest reference, in the gallery's metric (cosine: larger is closer)."""


@dataclass(frozen=True, eq=False)
class RecognizedObject:
    """An object of a picture and what it is taken for."""

    box: Box
    """Where it is."""
    source: ObjectSource
    """How it came to be a candidate."""
    detector_score: float
    """The detector's confidence, 0 to 1; 1 for regions and the whole picture."""
    known: bool
    """Whether the nearest item is close enough to be the answer."""
    candidates: tuple[Candidate, ...]
    """The nearest items, nearest first, whether close enough or not; empty: the gallery is."""
    region_id: str = ""
    """The caller's region, with ObjectSource.REGION."""
    track_id: int = 0
    """The same thing in several frames of a stream; 0: not tracked."""
    crop: Crop | None = None
    """Its pixels, when crops were asked for."""
    verdict: Verdict | None = None
    """What the search service says of the nearest item, when a rate of false accepts was configured."""
    explanation: Explanation | None = None
    """Why the nearest item is the nearest, when that was asked for."""

    @property
    def label(self) -> str | None:
        """The answer; None: unknown."""
        return self.candidates[0].label if self.known else None

    @property
    def item(self) -> str | None:
        """The item of the answer; None: unknown."""
        return self.candidates[0].item if self.known else None

    @property
    def score(self) -> float | None:
        """Score of the nearest item, whether close enough or not; None: the gallery is empty."""
        return self.candidates[0].score if self.candidates else None

    @property
    def runner_up(self) -> Candidate | None:
        """The second nearest item."""
        return self.candidates[1] if len(self.candidates) > 1 else None


@dataclass(frozen=True, eq=False)
class Recognition:
    """What is in a picture."""

    id: str
    """PictureInput.id, or its position."""
    width: int
    """Width of the upright picture in pixels."""
    height: int
    """Height of the upright picture in pixels."""
    objects: tuple[RecognizedObject, ...]
    """Known ones first, surest first; then unknown ones by falling detector score."""
    threshold: float
    """Score from which on an item was close enough."""
    timings: StageTimings
    """What detect_embed spent."""
    search_us: int
    """What the search took, way included, in microseconds; searched together with the other pictures of the call."""
    error: PicoSeekError | None = None
    """Why this picture failed while others of the call did not."""

    @property
    def best(self) -> RecognizedObject | None:
        """The surest known object; None: nothing was recognised."""
        return next((found for found in self.objects if found.known), None)


@dataclass(frozen=True, eq=False)
class FrameRecognition:
    """What is in a frame of a stream."""

    frame_id: int
    """Frame.frame_id."""
    recognition: Recognition | None
    """The answer; None: the frame was left out."""
    dropped: DropReason | None = None
    """Why it was left out."""
