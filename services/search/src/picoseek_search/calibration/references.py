"""What was measured on a gallery's own references."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.arrays import Offsets, Scores


class OwnItem(IntEnum):
    """Where a reference's own item stands when the reference itself is left out."""

    GONE = 0
    """It was the item's only reference."""
    BEST = 1
    """Nearest."""
    SECOND = 2
    """Second."""
    BEHIND = 3
    """Neither."""


@dataclass(frozen=True, eq=False)
class References:
    """Searches for references that were left out of the gallery, by columns of equal length."""

    items: Offsets
    """A number for each item."""
    stranger_scores: Scores
    """Score of the nearest reference of another item."""
    best_scores: Scores
    """Score of the nearest item."""
    second_scores: Scores
    """Score of the second item."""
    own: NDArray[np.int8]
    """Where the own item stands, see OwnItem."""

    def __len__(self) -> int:
        return len(self.items)

    def select(self, wanted: NDArray[np.bool_]) -> References:
        """Return some of them."""
        return References(
            self.items[wanted],
            self.stranger_scores[wanted],
            self.best_scores[wanted],
            self.second_scores[wanted],
            self.own[wanted],
        )
