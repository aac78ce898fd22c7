"""How close strangers come: the nearest reference of a query whose item is not in the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from picoseek_search.calibration.scale import Closeness
from picoseek_search.segment.arrays import Offsets

_LEAST_IN_TAIL = 10.0
_TAIL_EXPONENT = 2 / 3
_MOST_SHARE_IN_TAIL = 0.25
_LEAST_EXCESS = 1e-3


@dataclass(frozen=True, eq=False)
class Strangers:
    """Distribution of a stranger's best closeness.

    A reference whose item is taken out of the gallery is a stranger to the rest. A new one is exchangeable with them,
    so of n independent samples it beats the k-th closest with probability k / (n + 1) (conformal prediction).
    References of one item are alike and count as fewer samples, by the design effect of their intra-class correlation
    (Kish 1965). Where k would be small, the closest ones are continued by an exponential tail: with n excesses of mean
    e over the tail's start, a further one exceeds x with probability (1 + x / (n e)) ** -n, that of a ratio of gammas,
    in which the error of e is accounted for.
    """

    closeness: Closeness
    """Shape (n,), descending, each value once."""
    rank: Closeness
    """Shape (n,): samples that are as close or closer."""
    samples: float
    """Independent samples that the references are worth; a fraction."""
    tail_start: float
    """Closeness from which on the tail is exponential."""
    tail_samples: float
    """Samples that are as close as the tail's start or closer."""
    excess: float
    """Mean closeness beyond the tail's start of those that are closer."""
    excess_samples: float
    """Samples that are closer than the tail's start."""

    @classmethod
    def fit(cls, closeness: Closeness, items: Offsets) -> Self:
        """Describe measured strangers.

        Args:
            closeness: shape (references,), at least one: the closest reference of another item.
            items: shape (references,), a number for each item.
        """
        samples = _independent_samples(closeness, items)
        values, counts = np.unique(-closeness, return_counts=True)
        descending = -values
        each = counts * (samples / len(closeness))
        rank: Closeness = np.cumsum(each, dtype=np.float64)
        wanted = min(max(_LEAST_IN_TAIL, samples**_TAIL_EXPONENT), _MOST_SHARE_IN_TAIL * samples)
        start = min(int(np.searchsorted(rank, wanted)), len(rank) - 1)
        above = float(rank[start] - each[start])
        beyond = float(each[:start] @ (descending[:start] - descending[start]))
        return cls(
            closeness=descending,
            rank=rank,
            samples=samples,
            tail_start=float(descending[start]),
            tail_samples=float(rank[start]),
            excess=max(beyond / above if above else 0.0, _LEAST_EXCESS),
            excess_samples=max(above, 1.0),
        )

    def threshold(self, rate: float) -> float:
        """Return the closeness that a stranger reaches with a probability, above 0 and below 1."""
        target = rate * (self.samples + 1)
        if target >= self.tail_samples:
            return float(np.interp(target, self.rank, self.closeness))
        n = self.excess_samples
        return float(self.tail_start + self.excess * n * ((target / self.tail_samples) ** (-1 / n) - 1))

    def rate(self, closeness: Closeness) -> Closeness:
        """Return the probability that a stranger comes as close, same shape; the inverse of threshold()."""
        ranks = np.interp(-closeness, -self.closeness, self.rank)
        n = self.excess_samples
        beyond = np.maximum(closeness - self.tail_start, 0.0) / (self.excess * n)
        tail = self.tail_samples * (1 + beyond) ** -n
        return np.where(closeness > self.tail_start, tail, ranks) / (self.samples + 1)


def _independent_samples(closeness: Closeness, items: Offsets) -> float:
    """Return how many independent samples the references are worth."""
    _, item, counts = np.unique(items, return_inverse=True, return_counts=True)
    number = len(counts)
    if number == len(closeness) or number == 1:
        return float(number)
    means = np.bincount(item, closeness) / counts
    within = float(((closeness - means[item]) ** 2).sum()) / (len(closeness) - number)
    between = max(float(means.var(ddof=1)) - within * float((1 / counts).mean()), 0.0)
    alike = between / (between + within) if between + within else 1.0
    return float(len(closeness) ** 2 / (counts * (1 + (counts - 1) * alike)).sum())
