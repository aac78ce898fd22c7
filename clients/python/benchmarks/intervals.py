"""Intervals of measured rates."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_HALVINGS = 50


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate of independent trials (Clopper and Pearson 1934)."""
    outside = (1 - confidence) / 2
    lower = 0.0 if successes == 0 else _bisect(lambda rate: 1 - _at_most(successes - 1, trials, rate) >= outside)
    upper = 1.0 if successes == trials else _bisect(lambda rate: _at_most(successes, trials, rate) < outside)
    return lower, upper


def effective_trials(accepted: NDArray[np.float64], items: NDArray[np.int64]) -> int:
    """Return how many independent trials the pictures of items are worth (Kish 1965), at least as many as items.

    Args:
        accepted: shape (pictures,), share of the times that each was accepted.
        items: shape (pictures,), a number for each item.
    """
    counts = np.bincount(items)
    share = float(accepted.mean())
    spread = share * (1 - share)
    if spread == 0:
        return len(counts)
    residuals = np.bincount(items, accepted) - share * counts
    variance = float((residuals**2).sum()) / len(items) ** 2 * len(counts) / (len(counts) - 1)
    return int(np.clip(round(spread / variance), len(counts), len(items))) if variance else len(items)


def _bisect(is_above: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return (low + high) / 2


def _at_most(successes: int, trials: int, rate: float) -> float:
    if rate in (0.0, 1.0):
        return float(rate == 0.0 or successes == trials)
    terms = [
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(rate)
        + (trials - count) * math.log1p(-rate)
        for count in range(successes + 1)
    ]
    return math.fsum(map(math.exp, terms))
