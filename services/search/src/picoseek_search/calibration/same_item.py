"""How probable it is that the best hit shows what the query shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from picoseek_search.calibration.scale import Closeness

_STEPS = 50
_CLOSE_ENOUGH = 1e-9
_RIDGE = 1e-3
_MOST_LOGIT = 60.0


@dataclass(frozen=True)
class SameItem:
    """A logistic curve over closeness (Platt 1999, with his smoothed targets)."""

    offset: float
    """Logit at closeness 0."""
    slope: float
    """Logit a unit of closeness, not negative."""

    @classmethod
    def fit(cls, closeness: Closeness, is_same: NDArray[np.bool_], weights: Closeness) -> Self:
        """Fit the curve by weighted maximum likelihood.

        Args:
            closeness: shape (queries,), of the best hit.
            is_same: shape (queries,), whether it shows the same item.
            weights: shape (queries,), in queries that are independent of each other.
        """
        right, wrong = float(weights[is_same].sum()), float(weights[~is_same].sum())
        targets = np.where(is_same, (right + 1) / (right + 2), 1 / (wrong + 2))
        centre = float(np.average(closeness, weights=weights))
        width = float(np.sqrt(np.average((closeness - centre) ** 2, weights=weights))) or 1.0
        columns = np.stack([np.ones_like(closeness), (closeness - centre) / width], axis=1)
        logits = np.zeros(2)
        for _ in range(_STEPS):
            expected = _logistic(columns @ logits)
            gradient = columns.T @ (weights * (targets - expected)) - _RIDGE * logits
            curvature = (columns * (weights * expected * (1 - expected))[:, np.newaxis]).T @ columns
            step = np.linalg.solve(curvature + _RIDGE * np.eye(2), gradient)
            logits += step / max(1.0, float(np.abs(step).max()))
            if float(np.abs(step).max()) < _CLOSE_ENOUGH:
                break
        slope = max(float(logits[1]), 0.0) / width
        return cls(float(logits[0]) - slope * centre, slope)

    def probability(self, closeness: Closeness) -> Closeness:
        """Return the probability at some closeness, same shape."""
        return _logistic(self.offset + self.slope * closeness)


def _logistic(logits: Closeness) -> Closeness:
    return 1 / (1 + np.exp(-np.clip(logits, -_MOST_LOGIT, _MOST_LOGIT)))
