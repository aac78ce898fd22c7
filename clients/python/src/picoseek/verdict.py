"""What the search service says of a query's first hit, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from picoseek.collection import Revision
from picoseek.document import Provenance


class VerdictKind(Enum):
    """Kinds of verdict."""

    MATCH = "match"
    """The first hit, at the rate of false accepts that was asked for."""
    AMBIGUOUS = "ambiguous"
    """It is close enough, but two items are about equally close."""
    UNKNOWN = "unknown"
    """Nothing is close enough."""
    UNCALIBRATED = "uncalibrated"
    """There is nothing to tell by: fewer than 10 items, or they were written moments ago."""


@dataclass(frozen=True)
class Verdict:
    """Whether a query's first hit is what it shows."""

    kind: VerdictKind
    """The answer."""
    probability: float
    """Probability that the first hit shows the query's item, if as many queries show known things as strangers."""
    margin: float
    """Distance in score from the best item to the second one, never negative; infinite: there is no second item."""
    threshold: float
    """Score from which on a hit is accepted, in the metric's own direction; not a number: not calibrated."""


@dataclass(frozen=True)
class SegmentSearch:
    """How one part of a collection's index was searched."""

    segment: int
    """Its number."""
    kind: str
    """"growing", "sealing" or a factory string."""
    documents: int
    """Documents in it that meet the filter."""
    exact: bool
    """All of them were compared."""
    candidates: int
    """Documents that were candidates; 0: as many as lie in the cells."""
    cells: int
    """IVF: cells that were visited, if not exact."""


@dataclass(frozen=True)
class Explanation:
    """Why a query's first hit is the first."""

    id: str
    """Document.id of the first hit; empty: there are no hits."""
    item: str
    """Its item."""
    score: float
    """Its score, in the metric's own direction."""
    provenance: Provenance
    """Where it came from: picture, crop, the write that put it here, and when."""
    runner_up_id: str
    """Document.id of the nearest document of another item; empty: there is none."""
    runner_up_item: str
    """Its item."""
    runner_up_score: float
    """Its score."""
    exact: bool
    """Every document that meets the filter was compared: nothing closer can have been missed."""
    segment: int
    """Part of the index that holds the first hit."""
    segments: tuple[SegmentSearch, ...]
    """What was searched."""


@dataclass(frozen=True)
class RateThreshold:
    """A threshold of a calibration."""

    false_accept_rate: float
    """Rate of false accepts."""
    threshold: float
    """Score that strangers reach at that rate."""
    true_accept_rate: float | None
    """Share of references, each left out in turn, that are accepted and right; None: too few items have several."""


@dataclass(frozen=True)
class Calibration:
    """What verdicts of a collection rest on."""

    made_at: datetime
    """When it was measured."""
    revision: Revision
    """Revision at which it was measured."""
    documents: int
    """Documents in the collection then."""
    references: int
    """References that were searched for, each left out in turn."""
    items: int
    """Items that they show."""
    paired_items: int
    """Items among them with a second reference."""
    copies: int
    """References that stand in the collection under another item too; they were left out."""
    independent_samples: float
    """Independent samples that they are worth; a rate below one divided by this is extrapolated."""
    thresholds: tuple[RateThreshold, ...]
    """At rates of .001, .01 and .05."""
    ambiguous_margin: float
    """A margin below it is ambiguous, in score."""


@dataclass(frozen=True)
class RecallEstimate:
    """What live searches found of what an exact search finds."""

    recall: float
    """Mean over queries of the share of exact hits that were found."""
    lower: float
    """Lower end of the 95 % interval."""
    upper: float
    """Upper end."""
    queries: int
    """Live queries that were searched again exactly, in the last hour."""
    window_s: float
    """Age of the oldest of them, seconds."""


@dataclass(frozen=True)
class SearchQuality:
    """How far a collection's answers can be relied on."""

    calibration: Calibration | None
    """What verdicts rest on; None: there is none yet."""
    uncalibrated_reason: str
    """Why there is none."""
    recall: RecallEstimate | None
    """What live searches find; None: nothing was checked in the last hour, or all searches are exact."""
    unchecked_queries: int
    """Sampled live queries that were not checked since the service started: it was never idle in time."""
