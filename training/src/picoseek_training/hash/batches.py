"""Which views a step learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.pk_sampler import PkSampler
from picoseek_training.hash.config import HashBatchConfig
from picoseek_training.hash.pair_sampler import PairSampler


@dataclass(frozen=True)
class DrawnViews:
    """Views of a step."""

    rows: NDArray[np.int64]
    """[n] pictures."""
    views: NDArray[np.int64]
    """[n] view of each."""
    labelled: int
    """So many at the beginning were drawn by their classes, the others from one set."""
    pairs: int
    """So many pairs are at the end, also from one set: one view of each, then the other of each."""


class HashSampler:
    """Draws the views of a step, which depend on the seed and the step alone."""

    def __init__(
        self, classes: NDArray[np.int64], sets: NDArray[np.int64], views: int, config: HashBatchConfig, seed: int
    ) -> None:
        """Take the classes [N] of the pictures, -1 without a label, their sets [N] and the number of their views.

        A set is drawn as often as the square root of its size asks for.

        Raises:
            ValueError: there are fewer classes than a step takes.
        """
        try:
            self._by_class = PkSampler(classes, config.classes, config.pictures, seed) if config.classes else None
        except ValueError as error:
            raise ValueError(f"batch.classes: {error}") from error
        self._in_pairs = PairSampler(classes, sets, views, config.pairs, seed) if config.pairs else None
        self._members = [np.flatnonzero(sets == name) for name in np.unique(sets)]
        sizes = np.sqrt([len(members) for members in self._members])
        self._chances = sizes / sizes.sum()
        self._views, self._others, self._seed = views, config.others, seed

    def __call__(self, step: int) -> DrawnViews:
        """Return the views of a step."""
        labelled = np.empty(0, np.int64) if self._by_class is None else self._by_class.batch(step)
        rng = np.random.default_rng((self._seed, step, 1))
        one = self._members[rng.choice(len(self._members), p=self._chances)]
        others = rng.choice(one, self._others, replace=len(one) < self._others)
        rows = np.concatenate([labelled, others])
        views = rng.integers(self._views, size=len(rows))
        if self._in_pairs is None:
            return DrawnViews(rows, views, len(labelled), 0)
        pairs = self._in_pairs(step)
        return DrawnViews(
            np.concatenate([rows, pairs.rows.ravel()]),
            np.concatenate([views, pairs.views.ravel()]),
            len(labelled),
            pairs.rows.shape[1],
        )
