"""Batches of P classes with K pictures each, as losses over pairs and triplets need them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray


class PkSampler:
    """Draws batches; the batch of a step depends on the seed and the step alone, so that a resumed run sees the same.

    The classes of a batch are drawn without replacement, then the pictures of each; a class with fewer than K pictures
    repeats all of them as evenly as it goes. PaddleClas calls this PKSampler.
    """

    def __init__(
        self,
        classes: NDArray[np.int64],
        classes_per_batch: int,
        pictures_per_class: int,
        seed: int,
        weighting: Literal["classes", "pictures"] = "classes",
        factors: NDArray[np.float64] | None = None,
    ) -> None:
        """Take the data.

        Args:
            classes: [N] class of each picture; negative ones, which have no label, are never drawn.
            classes_per_batch: P.
            pictures_per_class: K.
            seed: Of all batches.
            weighting: Every class is as likely as any other, or as likely as it has pictures.
            factors: [C] on the chances of the classes 0 … C - 1, above 0; None leaves them.

        Raises:
            ValueError: There are fewer than P classes, P or K is below 1, or a factor is not above 0.
        """
        if classes_per_batch < 1 or pictures_per_class < 1:
            raise ValueError(
                f"a batch of {classes_per_batch} classes with {pictures_per_class} pictures each is empty; "
                "both must be at least 1"
            )
        known = np.flatnonzero(classes >= 0)
        order = known[np.argsort(classes[known], kind="stable")]
        names, first = np.unique(classes[order], return_index=True)
        if len(names) < classes_per_batch:
            raise ValueError(
                f"a batch takes {classes_per_batch} classes, the pictures have {len(names)}; "
                "take fewer classes a batch, or add classes"
            )
        self._members = np.split(order, first[1:])
        sizes = np.array([len(members) for members in self._members], np.float64)
        self._chances = None if weighting == "classes" else sizes / sizes.sum()
        if factors is not None:
            if not (factors > 0).all():
                raise ValueError("the factors on the classes' chances must be above 0")
            weights = factors[names] * (1.0 if weighting == "classes" else sizes)
            self._chances = weights / weights.sum()
        self._classes_per_batch = classes_per_batch
        self._pictures_per_class = pictures_per_class
        self._seed = seed

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the pictures of a step's batch: [P * K] indices, the K of a class one after the other."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.choice(len(self._members), self._classes_per_batch, replace=False, p=self._chances)
        return np.concatenate([self._draw(self._members[index], rng) for index in chosen])

    def _draw(self, members: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        rounds = -(-self._pictures_per_class // len(members))
        return np.concatenate([rng.permutation(members) for _ in range(rounds)])[: self._pictures_per_class]
