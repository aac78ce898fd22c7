"""Closed-form fits that start a network near a known one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def ridge(inputs: Matrix, targets: Matrix, strength: float) -> tuple[Matrix, Matrix]:
    """Least squares with a penalty: weight [in, out] and bias [out] that bring `inputs` [n, in] to `targets` [n, out].

    `strength` is relative to the mean variance of the inputs.
    """
    input_mean, target_mean = inputs.mean(axis=0), targets.mean(axis=0)
    centred = inputs - input_mean
    covariance = centred.T @ centred / len(inputs)
    penalty = strength * np.trace(covariance) / len(covariance) + 1e-12
    weight = np.linalg.solve(
        covariance + penalty * np.eye(len(covariance)), centred.T @ (targets - target_mean) / len(inputs)
    )
    return weight, target_mean - input_mean @ weight


def reduced_rank(inputs: Matrix, targets: Matrix, rank: int, strength: float) -> Matrix:
    """First factor [in, rank] of the least-squares map of that rank (Izenman 1975), with outputs of unit variance."""
    weight, bias = ridge(inputs, targets, strength)
    fitted = inputs @ weight + bias - targets.mean(axis=0)
    _, vectors = np.linalg.eigh(fitted.T @ fitted)
    factor = weight @ vectors[:, ::-1][:, :rank]
    spread = (inputs @ factor).std(axis=0)
    return np.asarray(factor / np.maximum(spread, 1e-9), dtype=np.float64)
