"""From which score on an item is the answer: derived from the gallery alone.

A reference whose own item is taken out of the gallery is a stranger to the rest. The score of its nearest reference of
another item is therefore a sample of what strangers score; two references that are each other's nearest give one
sample. With m the median of these scores, s their spread (1.4826 times the median absolute deviation, the standard
deviation if they were normal), q their 95 % quantile and e the score of a vector with itself:

    threshold = min(m + 2.7 s, q + (e - q) / 8)

The first term lets about 2 strange pictures in 100 pass if the scores are normal and a picture has 6 candidates (5
detections and itself): 1 - (1 - p)^6 = 0.02 gives 2.7 deviations. Median and deviation, unlike a quantile, are
moved little by items that look alike or stand in the gallery twice. The second keeps the threshold an eighth of the way
above what nearly all strangers score, where scores scatter widely and the first would turn known things away.

Of n < 8 samples neither spread nor quantile says much, and the next stranger may well score more than any of them. So
the first term is left out and the margin is larger:

    threshold = q + (e - q) / max(2, n)

Smaller-is-closer metrics are negated first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ENOUGH = 8
_SPREADS = 2.7
_NORMAL_CONSISTENCY = 1.4826
_QUANTILE = 0.95


def derive_threshold(
    stranger_scores: NDArray[np.float64], self_score: float, larger_is_closer: bool = True
) -> float | None:
    """Return the score from which on a nearest item is the answer; None: there are no scores.

    Args:
        stranger_scores: [n], for each of some references the score of the nearest reference of another item.
        self_score: score of a vector with itself: 1 for cosine, 0 for distances.
        larger_is_closer: direction of the scores.
    """
    count = len(stranger_scores)
    if count == 0:
        return None
    sign = 1.0 if larger_is_closer else -1.0
    closeness = sign * stranger_scores
    quantile = float(np.quantile(closeness, _QUANTILE))
    above = quantile + (sign * self_score - quantile) / min(max(2, count), _ENOUGH)
    if count < _ENOUGH:
        return sign * above
    median = float(np.median(closeness))
    spread = _NORMAL_CONSISTENCY * float(np.median(np.abs(closeness - median)))
    return sign * min(median + _SPREADS * spread, above)
