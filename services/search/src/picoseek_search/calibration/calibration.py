"""Verdicts of one collection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from picoseek_search.calibration.mix_up import margin_of_pairs, margin_of_strangers
from picoseek_search.calibration.references import OwnItem, References
from picoseek_search.calibration.same_item import SameItem
from picoseek_search.calibration.scale import Scale
from picoseek_search.calibration.strangers import Strangers
from picoseek_search.calibration.verdict import Verdict, VerdictKind

LEAST_ITEMS = 10
"""Fewer items, or fewer with another reference, say nothing."""


class TooFewItemsError(Exception):
    """The gallery is too small to calibrate on."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the scores of one gallery mean."""

    scale: Scale
    """Scores on the scale of what follows."""
    strangers: Strangers
    """How close strangers come."""
    same_item: SameItem | None
    """Probability by closeness; None: the gallery has too few items with several references."""
    ambiguous_margin: float
    """An item that is less than so far before the second one, in score, is ambiguous."""
    items: int
    """Items that were measured."""
    paired_items: int
    """Items among them with another reference to be found."""
    references: int
    """References that were measured."""
    copies: int
    """References among them with a copy under another item; they were left out."""
    known_scores: NDArray[np.float64]
    """Shape (n,), descending: closeness of the best hit of references whose item stayed, where it was the own item."""
    known_rank: NDArray[np.float64]
    """Shape (n,): share of known queries that are answered rightly at that closeness or above."""

    @classmethod
    def fit(cls, scale: Scale, measured: References) -> Self:
        """Calibrate.

        A copy of a reference under another item is a mistake in the gallery: no stranger scores like that, and a few of
        them would lift the threshold of small rates above everything. They are left out and counted.

        Raises:
            TooFewItemsError: fewer than LEAST_ITEMS items remain.
        """
        closeness = scale.closeness(measured.stranger_scores)
        is_copy = np.zeros(len(measured), np.bool_) if scale.limit is None else closeness >= -math.log(scale.floor)
        kept = measured.select(~is_copy)
        closeness = closeness[~is_copy]
        items = len(np.unique(kept.items))
        if items < LEAST_ITEMS:
            raise TooFewItemsError(f"{items} items were measured; {LEAST_ITEMS} are needed")
        strangers = Strangers.fit(closeness, kept.items)
        known = kept.select(kept.own != OwnItem.GONE)
        paired_items = len(np.unique(known.items))
        is_right = known.own == OwnItem.BEST
        weights = _item_weights(known.items)
        best = scale.closeness(known.best_scores)
        same_item = None
        margin = margin_of_strangers(kept.stranger_scores.astype(np.float64))
        if paired_items >= LEAST_ITEMS:
            same_item = SameItem.fit(
                np.concatenate([best, closeness]),
                np.concatenate([is_right, np.zeros(len(closeness), np.bool_)]),
                # As many queries of known things as of strangers.
                np.concatenate([weights, _item_weights(kept.items) * (paired_items / items)]),
            )
            decided = (known.own == OwnItem.BEST) | (known.own == OwnItem.SECOND)
            if decided.any():
                ahead = np.abs(known.best_scores.astype(np.float64) - known.second_scores)
                margin = margin_of_pairs(ahead[decided], is_right[decided], weights[decided])
        order = np.argsort(-best[is_right], kind="stable")
        return cls(
            scale=scale,
            strangers=strangers,
            same_item=same_item,
            ambiguous_margin=margin,
            items=items,
            paired_items=paired_items,
            references=len(measured),
            copies=int(is_copy.sum()),
            known_scores=best[is_right][order],
            known_rank=np.cumsum(weights[is_right][order]) / max(paired_items, 1),
        )

    def threshold(self, rate: float) -> float:
        """Return the score that a stranger's best hit reaches with a probability."""
        return self.scale.score(self.strangers.threshold(rate))

    def known_rate(self, rate: float) -> float | None:
        """Return the share of known queries whose best hit is accepted and right; None: there are no pairs to tell by.

        Measured on the gallery's own references, each left out in turn.
        """
        if self.same_item is None:
            return None
        accepted = int(np.searchsorted(-self.known_scores, -self.strangers.threshold(rate), side="right"))
        return float(self.known_rank[accepted - 1]) if accepted else 0.0

    def verdict(self, best: float | None, margin: float, rate: float) -> Verdict:
        """Judge a query.

        Args:
            best: score of its first hit; None: there is none.
            margin: see Verdict.margin.
            rate: of false accepts.
        """
        threshold = self.threshold(rate)
        if best is None:
            return Verdict(VerdictKind.UNKNOWN, 0.0, margin, threshold)
        closeness = self.scale.closeness(np.array([best]))
        probability = (
            1.0 - self.strangers.rate(closeness) if self.same_item is None else self.same_item.probability(closeness)
        )
        if float(closeness[0]) < self.strangers.threshold(rate):
            kind = VerdictKind.UNKNOWN
        elif margin < self.ambiguous_margin:
            kind = VerdictKind.AMBIGUOUS
        else:
            kind = VerdictKind.MATCH
        return Verdict(kind, float(np.clip(probability[0], 0.0, 1.0)), margin, threshold)


def _item_weights(items: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the same weight for each item, 1, shared by its references."""
    _, item, counts = np.unique(items, return_inverse=True, return_counts=True)
    return 1.0 / counts[item]
