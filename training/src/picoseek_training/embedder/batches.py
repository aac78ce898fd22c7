"""Batches of views with what the student shall make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.normalisation import normalised
from picoseek_training.data.views import ViewConfig, draw_view, render_view
from picoseek_training.distillation.teacher_features import view_seed

_WHOLE = slice(None)


@dataclass(frozen=True)
class Batch:
    """One step's data; N views."""

    images: NDArray[np.float32]
    """[N, 3, side, side], normalised."""
    targets: NDArray[np.float32]
    """[N, dimension] at unit norm."""
    classes: NDArray[np.int64]
    """[N], -1 without a label."""
    rows: NDArray[np.int64]
    """[N] numbers of the pictures, counted through all sets."""


class ViewSampler:
    """Draws views at random; the batch of a step depends on the seed and the step alone."""

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        targets: NDArray[np.float16],
        classes: NDArray[np.int64],
        config: ViewConfig,
        seed: int,
    ) -> None:
        """Take the data.

        Args:
            pictures: [M, S, S, 3] RGB.
            targets: [views, M, dimension] at unit norm.
            classes: [M].
            config: how views were drawn for the teacher.
            seed: seed of the views and of the order.
        """
        self._pictures = pictures
        self._targets = targets
        self._classes = classes
        self._config = config
        self._seed = seed

    def batch(self, step: int, size: int, side: int, part: slice = _WHOLE) -> Batch:
        """Return the batch of a step, or a part of its `size` views, at an input size in pixels."""
        rng = np.random.default_rng((self._seed, step))
        views = rng.integers(len(self._targets), size=size)
        rows = rng.integers(len(self._pictures), size=size)
        views, rows = views[part], rows[part]
        rendered = [
            render_view(self._pictures[row], draw_view(self._config, view_seed(self._seed, int(row), int(view))), side)
            for view, row in zip(views, rows, strict=True)
        ]
        return Batch(
            normalised(np.stack(rendered)),
            self._targets[views, rows].astype(np.float32),
            self._classes[rows],
            rows,
        )
