"""What the student shall answer: the teacher's raw features and those of a neck learned from labels, in one space."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picoseek_training import checkpoint
from picoseek_training.data.classes import ClassTable
from picoseek_training.distillation.linear_neck import LinearNeck, LinearNeckConfig, learn_linear_neck
from picoseek_training.evaluation.retrieval import unit_rows
from picoseek_training.run.fingerprint import fingerprint

Matrix = NDArray[np.float32]

_RAW_COMPONENTS = 256
_LEAST_SAMPLE = 8192
_FILE = "teacher-neck.ckpt"
_KEY_ROWS = 256


@dataclass(frozen=True)
class TeacherSpace:
    """Maps teacher features to targets of the student's dimension, at unit norm."""

    neck: LinearNeck
    """Learned from labels."""
    mean: Matrix
    """[D] mean of the features."""
    raw: Matrix
    """[D, 256] principal directions of the centred features."""
    projection: Matrix
    """[dimension of the neck + 256, dimension] principal directions of both together."""
    raw_weight: float
    """Weight of the raw features beside the neck's output."""

    def __call__(self, features: NDArray[np.float16] | Matrix) -> Matrix:
        """Return targets [N, dimension] of teacher features [N, D]."""
        joined = _joined(features, self.neck, self.mean, self.raw, self.raw_weight)
        targets: Matrix = np.asarray(joined @ self.projection, dtype=np.float32)
        return unit_rows(targets)


def fit_teacher_space(
    features: NDArray[np.float16],
    classes: ClassTable,
    dimension: int,
    neck_config: LinearNeckConfig,
    raw_weight: float,
    progress: Callable[[int, int], None],
) -> TeacherSpace:
    """Learn the neck from the labels, and the projections from the features.

    Args:
        features: [views, N, D] teacher features.
        classes: classes of the N pictures.
        dimension: components of the targets.
        neck_config: how the neck is learned.
        raw_weight: weight of the raw features beside the neck's output.
        progress: receives the finished and the total number of epochs of the neck.

    Raises:
        ValueError: there are fewer than two classes.
    """
    flat = features.reshape(-1, features.shape[-1])
    labels = np.tile(classes.classes, len(features))
    known = labels >= 0
    neck = learn_linear_neck(flat[known], labels[known], classes.class_domains, neck_config, progress)
    sample = np.asarray(flat[:: max(1, min(4, len(flat) // _LEAST_SAMPLE))], dtype=np.float32)
    mean: Matrix = sample.mean(axis=0)
    raw = _principal(sample - mean)[:, :_RAW_COMPONENTS]
    projection = _principal(_joined(sample, neck, mean, raw, raw_weight))[:, :dimension]
    return TeacherSpace(neck, mean, raw, projection, raw_weight)


def learn_teacher_space(
    features: NDArray[np.float16],
    classes: ClassTable,
    dimension: int,
    neck_config: LinearNeckConfig,
    raw_weight: float,
    folder: Path,
    progress: Callable[[int, int], None],
) -> TeacherSpace:
    """Do what `fit_teacher_space` does and keep the result in `folder`, or read it if it was made of the same."""
    file = folder / _FILE
    key = _key(features, classes, dimension, neck_config, raw_weight)
    content = checkpoint.load(file) if file.exists() else {}
    if content.get("key") != key:
        space = fit_teacher_space(features, classes, dimension, neck_config, raw_weight, progress)
        content = {
            "key": key,
            "weight": space.neck.weight,
            "bias": space.neck.bias,
            "mean": space.mean,
            "raw": space.raw,
            "projection": space.projection,
        }
        checkpoint.save(content, file)
    neck = LinearNeck(content["weight"], content["bias"])
    return TeacherSpace(neck, content["mean"], content["raw"], content["projection"], raw_weight)


def _key(
    features: NDArray[np.float16], classes: ClassTable, dimension: int, neck_config: LinearNeckConfig, raw_weight: float
) -> str:
    some = np.ascontiguousarray(features[:, :: max(1, features.shape[1] // _KEY_ROWS)])
    arrays = [hashlib.sha256(each.tobytes()).hexdigest() for each in (some, classes.classes, classes.class_domains)]
    return fingerprint(*arrays, list(features.shape), dimension, neck_config, raw_weight)


def _joined(
    features: NDArray[np.float16] | Matrix, neck: LinearNeck, mean: Matrix, raw: Matrix, raw_weight: float
) -> Matrix:
    plain = np.asarray(features, dtype=np.float32)
    unnamed: Matrix = np.asarray((plain - mean) @ raw, dtype=np.float32)
    return np.hstack([unit_rows(neck(plain)), np.float32(raw_weight) * unit_rows(unnamed)])


def _principal(rows: Matrix) -> Matrix:
    """Return the eigenvectors [D, D] of rows.T @ rows, those with the largest eigenvalues first."""
    vectors = np.linalg.eigh(rows.T @ rows / np.float32(len(rows)))[1]
    return np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32)
