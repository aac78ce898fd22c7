"""Whitening by what differs within a class: the directions in which pictures of one thing scatter count less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def within_class_whitening(vectors: Matrix, classes: NDArray[np.int64], shrinkage: float) -> NDArray[np.float64]:
    """Return the symmetric map [D, D] that gives what differs within a class about one variance in all directions.

    It is the inverse square root of the within-class covariance (Hatch et al., ICASSP 2006), in which every class
    counts the same, plus `shrinkage` times its mean variance.

    Args:
        vectors: [views, N, D]; views of one picture are of one class.
        classes: [N], -1 without a label.
        shrinkage: above 0; larger values change less.
    """
    known = np.flatnonzero(classes >= 0)
    names, place = np.unique(classes[known], return_inverse=True)
    sizes = np.bincount(place) * len(vectors)
    means = np.zeros((len(names), vectors.shape[-1]))
    np.add.at(means, place, vectors[:, known].sum(axis=0, dtype=np.float64))
    means /= sizes[:, None]
    covariance = np.zeros((vectors.shape[-1],) * 2)
    for view in vectors:
        scatter = (view[known] - means[place]) / np.sqrt(sizes[place])[:, None]
        covariance += scatter.T @ scatter / len(names)
    variances, directions = np.linalg.eigh(covariance)
    scale = 1.0 / np.sqrt(np.maximum(variances, 0.0) + shrinkage * variances.mean() + 1e-12)
    whitening: NDArray[np.float64] = (directions * scale) @ directions.T
    return whitening
