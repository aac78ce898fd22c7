"""Where training of the head begins: iterative quantisation (Gong and Lazebnik, CVPR 2011) of whitened vectors.

The directions between the sets' means are left out (embedder.set_directions), and every set counts the same in the
principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picoseek_training.embedder.set_directions import set_means

Matrix = NDArray[np.float32]

_ROUNDS = 30
_ROWS = 8000


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
    centred = vectors[chosen // count, chosen % count] - set_means(vectors, sets)[place]
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
