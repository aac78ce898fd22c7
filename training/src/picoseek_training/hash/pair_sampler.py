"""Pairs of views of one thing, all of one set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_FEW_CLASSES = 32


@dataclass(frozen=True)
class DrawnPairs:
    """Pairs of a step."""

    rows: Indices
    """[2, P] pictures of either side; the two of a pair are of one class, or the same picture."""
    views: Indices
    """[2, P] view of each; of one picture two different ones, if it has several."""


class PairSampler:
    """Draws the pairs of a step from what has labels; they depend on the seed and the step alone.

    In a set of many classes every pair is of another class. In a set of few classes every pair begins with another
    picture. It goes on with another picture of the class where there is one; in a set of few classes half the pairs are
    of one picture instead, in two views if it has several. One that is paired with itself is only told from others.
    """

    def __init__(self, classes: Indices, sets: Indices, views: int, pairs: int, seed: int) -> None:
        """Take the classes [N] of the pictures, -1 without a label, their sets [N] and the number of their views.

        A set is drawn as often as the square root of its size asks for; a small one gives fewer than `pairs`.

        Raises:
            ValueError: nothing has a label.
        """
        known = np.flatnonzero(classes >= 0)
        if not len(known):
            raise ValueError("batch.pairs takes pictures with labels, and none of `sets` has them; set it to 0")
        self._members = [known[sets[known] == name] for name in np.unique(sets[known])]
        sizes = np.sqrt([len(members) for members in self._members])
        self._chances = sizes / sizes.sum()
        self._classes, self._views, self._pairs, self._seed = classes, views, pairs, seed

    def __call__(self, step: int) -> DrawnPairs:
        """Return the pairs of a step."""
        rng = np.random.default_rng((self._seed, step, 2))
        members = rng.permutation(self._members[rng.choice(len(self._members), p=self._chances)])
        classes = self._classes[members]
        names, firsts = np.unique(classes, return_index=True)
        many = len(names) > _FEW_CLASSES
        first = members[rng.permutation(firsts) if many else slice(None)][: self._pairs]
        second = first.copy()
        for place, row in enumerate(first):
            others = members[(classes == self._classes[row]) & (members != row)]
            if len(others) and (many or rng.random() < 0.5):
                second[place] = rng.choice(others)
        views = rng.integers(self._views, size=(2, len(first)))
        if self._views > 1:
            other_view = (views[0] + rng.integers(1, self._views, size=len(first))) % self._views
            views[1] = np.where(first == second, other_view, views[1])
        return DrawnPairs(np.stack([first, second]), views)
