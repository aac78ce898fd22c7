"""Scores on one scale for all metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.metric import Metric

Closeness = NDArray[np.float64]
"""Scores on the scale: larger is closer whatever the metric."""

_ROUNDING = 1e-6
"""Distances of unit vectors below it are rounding."""


@dataclass(frozen=True)
class Scale:
    """Turns scores into closeness and back.

    Where a vector's score with itself is known beforehand, closeness is -ln(distance from it). Near a point the number
    of neighbours grows with a power of the distance, so the upper tail of this closeness is exponential: distance to
    the nearest neighbour follows the law by which local intrinsic dimensionality is estimated (Amsaleg et al., KDD
    2015). Otherwise closeness is the score itself.
    """

    larger_is_closer: bool
    """Direction of the scores."""
    limit: float | None
    """The closest score that there is; None: there is none."""
    floor: float
    """Smallest distance from the limit that is told from none."""

    @classmethod
    def of(cls, metric: Metric, *, unit_length: bool) -> Scale:
        """Return the scale of a metric.

        Args:
            metric: how vectors are compared.
            unit_length: whether all vectors have length 1.
        """
        match metric:
            case Metric.HAMMING:
                return cls(False, 0.0, 0.5)
            case Metric.L2:
                return cls(False, 0.0, _ROUNDING if unit_length else float(np.finfo(np.float32).tiny))
            case Metric.COSINE:
                return cls(True, 1.0, _ROUNDING)
            case Metric.INNER_PRODUCT:
                return cls(True, 1.0 if unit_length else None, _ROUNDING)

    def closeness(self, scores: NDArray[np.floating]) -> Closeness:
        """Return the closeness of scores, same shape."""
        wide = np.asarray(scores, np.float64)
        if self.limit is None:
            return wide if self.larger_is_closer else -wide
        distances = self.limit - wide if self.larger_is_closer else wide - self.limit
        return -np.log(np.maximum(distances, self.floor))

    def score(self, closeness: float) -> float:
        """Return the score of a closeness, at the limit where that is out of reach."""
        if self.limit is None:
            return closeness if self.larger_is_closer else -closeness
        distance = float(np.exp(-closeness))
        return self.limit - distance if self.larger_is_closer else self.limit + distance
