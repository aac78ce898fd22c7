"""Directions that tell training sets apart: of little use, as things that are hard to tell apart lie in one set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def without_set_directions(vectors: Matrix, sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the projection [D, D] onto what is orthogonal to the directions between the sets' means.

    Args:
        vectors: [views, N, D].
        sets: [N] number of the set that each picture is of.
    """
    means = set_means(vectors, sets)
    directions = means - vectors.mean(axis=(0, 1), dtype=np.float64)
    _, sizes, axes = np.linalg.svd(directions, full_matrices=False)
    kept = axes[sizes > 1e-5 * max(1.0, float(sizes[0]))]
    projection: NDArray[np.float64] = np.eye(vectors.shape[-1]) - kept.T @ kept
    return projection


def set_means(vectors: Matrix, sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean [sets, D] of each set in the order of its number."""
    return np.stack([vectors[:, sets == name].mean(axis=(0, 1), dtype=np.float64) for name in np.unique(sets)])
