"""One deadline for everything that is done to answer a caller."""

from __future__ import annotations

import time
from dataclasses import dataclass

from picoseek.errors import DeadlineExceededError


@dataclass(frozen=True)
class Deadline:
    """A point in time that calls, their retries and the steps between them share."""

    at: float
    """Seconds on the monotonic clock."""

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        """Return the deadline in so many seconds."""
        return cls(time.monotonic() + timeout_s)

    @property
    def remaining_s(self) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def require(self, doing: str) -> float:
        """Return the seconds that are left.

        Raises:
            DeadlineExceededError: none are.
        """
        remaining = self.remaining_s
        if remaining <= 0:
            raise DeadlineExceededError(f"the time is over before {doing}; allow more time or ask for less at once")
        return remaining
