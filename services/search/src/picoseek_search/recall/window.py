"""The newest checks of a collection and what they say."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_NORMAL_95 = 1.959964
_MOST_CHECKS = 2000
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class RecallEstimate:
    """Mean recall of live queries with an interval."""

    recall: float
    """Mean over the queries of the share of exact hits that were found."""
    lower: float
    """Lower end of the 95 % interval."""
    upper: float
    """Upper end."""
    queries: int
    """Queries that were checked in the window."""
    window_s: float
    """Age of the oldest of them, seconds."""


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a mean of values between 0 and 1 (Wilson 1927).

    For shares of successes it is the usual one. A mean of values in between varies less than that of zeros and ones, so
    the interval is then wider than need be, never narrower.
    """
    square = _NORMAL_95**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = _NORMAL_95 / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    # The share lies within, but for rounding at 0 and 1.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


class RecallWindow:
    """The newest 2000 checks of the last hour. Methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._checks: deque[tuple[float, float]] = deque(maxlen=_MOST_CHECKS)
        self._missed = 0

    def add(self, share: float) -> None:
        """Note the share of exact hits that a query found."""
        with self._lock:
            self._checks.append((self._clock(), share))

    def miss(self) -> None:
        """Note that a sampled query could not be checked in time."""
        with self._lock:
            self._missed += 1

    @property
    def missed(self) -> int:
        """Sampled queries that could not be checked in time, since the start."""
        return self._missed

    def estimate(self) -> RecallEstimate | None:
        """Return what the checks say; None: there are none."""
        with self._lock:
            now = self._clock()
            while self._checks and now - self._checks[0][0] > _LONGEST_S:
                self._checks.popleft()
            if not self._checks:
                return None
            count = len(self._checks)
            mean = math.fsum(share for _, share in self._checks) / count
            oldest = now - self._checks[0][0]
        lower, upper = wilson(mean, count)
        return RecallEstimate(mean, lower, upper, count, oldest)
