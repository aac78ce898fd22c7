"""How far the second item must be behind the best one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ODDS = 3.0
"""At the margin returned the best item is so many times as likely as the second."""
_HALVINGS = 60
_SPREAD_SHARE = 0.25
_NORMAL_CONSISTENCY = 1.4826


def margin_of_pairs(margins: NDArray[np.float64], is_right: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Return the margin at which the best item is ODDS times as likely as the second.

    At margin 0 both are as likely, whatever the gallery; so the logit is taken to grow in proportion to the margin, and
    its one coefficient is fitted by maximum likelihood, after one right and one wrong answer at the median margin.

    Args:
        margins: shape (queries,), score of the best item less that of the second, in the direction of closeness. The
            query's own item is one of the two.
        is_right: shape (queries,), whether it is the best.
        weights: shape (queries,), in queries that are independent of each other.
    """
    middle = float(np.median(margins))
    if middle <= 0:
        middle = float(margins.mean())
    if middle <= 0:
        return 0.0
    lengths = np.concatenate([margins, [middle, middle]]) / middle
    signs = np.concatenate([np.where(is_right, 1.0, -1.0), [1.0, -1.0]])
    each = np.concatenate([weights, [1.0, 1.0]])

    def rises(slope: float) -> bool:
        # The likelihood is concave in the slope: it rises up to its maximum.
        return float(each @ (signs * lengths / (1 + np.exp(np.clip(signs * slope * lengths, -60, 60))))) > 0

    low, high = 0.0, 1.0
    if not rises(0.0):
        # The best item is no likelier than the second at any margin.
        return math.inf
    while rises(high):
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle_slope = (low + high) / 2
        low, high = (middle_slope, high) if rises(middle_slope) else (low, middle_slope)
    return math.log(ODDS) / low * middle if low else math.inf


def margin_of_strangers(scores: NDArray[np.float64]) -> float:
    """Return the margin for a gallery without pairs: a quarter of the spread of strangers' best scores.

    The spread is the standard deviation if they are normal, by the median absolute deviation.

    Args:
        scores: shape (n,), best scores of strangers.
    """
    return _SPREAD_SHARE * _NORMAL_CONSISTENCY * float(np.median(np.abs(scores - np.median(scores))))
