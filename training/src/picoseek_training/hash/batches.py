"""Which views a step learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.pk_sampler import PkSampler
from picoseek_training.hash.config import HashBatchConfig


@dataclass(frozen=True)
class DrawnViews:
    """Views of a step."""

    rows: NDArray[np.int64]
    """[n] pictures."""
    views: NDArray[np.int64]
    """[n] view of each."""
    labelled: int
    """So many at the beginning were drawn by their classes; the others from one set."""


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
        self._by_class = PkSampler(classes, config.classes, config.pictures, seed)
        self._members = [np.flatnonzero(sets == name) for name in np.unique(sets)]
        sizes = np.sqrt([len(members) for members in self._members])
        self._chances = sizes / sizes.sum()
        self._views, self._others, self._seed = views, config.others, seed

    def __call__(self, step: int) -> DrawnViews:
        """Return the views of a step."""
        labelled = self._by_class.batch(step)
        rng = np.random.default_rng((self._seed, step, 1))
        one = self._members[rng.choice(len(self._members), p=self._chances)]
        others = rng.choice(one, self._others, replace=len(one) < self._others)
        rows = np.concatenate([labelled, others])
        return DrawnViews(rows, rng.integers(self._views, size=len(rows)), len(labelled))
