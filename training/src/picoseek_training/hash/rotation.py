"""Where training of the head begins: iterative quantisation (Gong and Lazebnik, CVPR 2011) of whitened vectors.

Bits that tell sets apart are of little use, for the things that are hard to tell apart lie in one set. So the
directions between the sets' means are left out, and every set counts the same in the principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

_ROUNDS = 30
_ROWS = 8000


def without_set_directions(vectors: Matrix, sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the projection [D, D] onto what is orthogonal to the directions between the sets' means.

    Args:
        vectors: [views, N, D].
        sets: [N] number of the set that each picture is of.
    """
    means = _means(vectors, sets)
    directions = means - vectors.mean(axis=(0, 1), dtype=np.float64)
    _, sizes, axes = np.linalg.svd(directions, full_matrices=False)
    kept = axes[sizes > 1e-5 * max(1.0, float(sizes[0]))]
    projection: NDArray[np.float64] = np.eye(vectors.shape[-1]) - kept.T @ kept
    return projection


def quantising_rotation(
    vectors: Matrix, sets: NDArray[np.int64], reduced: NDArray[np.float64], bits: int, seed: int
) -> tuple[Matrix, Matrix]:
    """Return weight [D, bits] and bias [bits] whose products with vectors have the signs that codes are made of.

    The products have a deviation of 1 over the rows and bits looked at. Directions beyond the principal ones, if there
    are more bits, are random.

    Args:
        vectors: [views, N, D] at unit norm.
        sets: [N] number of the set that each picture is of.
        reduced: [D, D] map of the vectors in whose image the components are sought.
        bits: length of a code.
        seed: of the first rotation and of the choice of rows.
    """
    rng = np.random.default_rng(seed)
    views, count, dimension = vectors.shape
    chosen = rng.permutation(views * count)[:_ROWS]
    place = np.unique(sets, return_inverse=True)[1][chosen % count]
    centred = vectors[chosen // count, chosen % count] - _means(vectors, sets)[place]
    covariance = np.zeros((dimension, dimension))
    for name in np.unique(place):
        own = centred[place == name]
        covariance += own.T @ own / len(own)
    _, directions = np.linalg.eigh(reduced.T @ covariance @ reduced)
    directions = directions[:, ::-1][:, :bits]
    if directions.shape[1] < bits:
        more = rng.normal(size=(dimension, bits - directions.shape[1])) / np.sqrt(dimension)
        directions = np.hstack([directions, more])
    projection = reduced @ directions
    projected = centred @ projection
    rotation = np.linalg.qr(rng.normal(size=(bits, bits)))[0]
    for _ in range(_ROUNDS):
        left, _, right = np.linalg.svd(np.sign(projected @ rotation).T @ projected)
        rotation = (left @ right).T
    weight = projection @ rotation
    weight /= (centred @ weight).std() + 1e-12
    bias = -vectors.mean(axis=(0, 1), dtype=np.float64) @ weight
    return weight.astype(np.float32), bias.astype(np.float32)


def _means(vectors: Matrix, sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean [sets, D] of each set in the order of its number."""
    return np.stack([vectors[:, sets == name].mean(axis=(0, 1), dtype=np.float64) for name in np.unique(sets)])
