"""What is said of a query's best item."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class VerdictKind(Enum):
    """Kinds of verdict."""

    MATCH = "match"
    """The best item, at the rate of false accepts that was asked for."""
    AMBIGUOUS = "ambiguous"
    """Close enough, but the second item is about as close."""
    UNKNOWN = "unknown"
    """Nothing is close enough."""
    UNCALIBRATED = "uncalibrated"
    """There is nothing yet to tell by."""


@dataclass(frozen=True)
class Verdict:
    """The answer to one query."""

    kind: VerdictKind
    """The answer."""
    probability: float
    """Probability that the best hit shows the same item; 0 without hits or calibration."""
    margin: float
    """Score from the best item to the second one, not negative; infinite without a second one, 0 without hits."""
    threshold: float
    """Score from which on a hit is accepted; not a number without calibration."""
