"""A space learned from labels, and what it is worth on pictures that were kept aside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from picoseek_training.data.classes import number_classes
from picoseek_training.distillation.linear_neck import LinearNeckConfig
from picoseek_training.embedder.targets import TeacherSpace, fit_teacher_space
from picoseek_training.general_bundle.holdout import hold_out
from picoseek_training.general_bundle.measurement import HeldOutRecall, measure
from picoseek_training.general_bundle.picture_features import PictureFeatures

DIMENSION = 512
"""Components of an adapted embedding."""
_RAW_WEIGHT = 0.5
_BATCH = 256
_LEAST_EPOCHS = 8
_LEAST_STEPS = 300


@dataclass(frozen=True)
class Adaptation:
    """The space and its figures."""

    space: TeacherSpace
    """Maps the 1280 pooled features."""
    learned: int
    """Pictures that were learned from."""
    classes: int
    """Classes they have."""
    held_out: int
    """Pictures that were measured with."""
    before: HeldOutRecall
    """With the features as they are."""
    after: HeldOutRecall
    """In the space."""


def adapt(pictures: PictureFeatures, progress: Callable[[int, int], None]) -> Adaptation:
    """Learn a space from four fifths of the pictures and measure it with the others.

    Args:
        pictures: features of pictures that passed `check_classes`.
        progress: receives the finished and the total number of epochs.
    """
    held = hold_out(pictures.examples)
    classes = number_classes([example for example, kept in zip(pictures.examples, held, strict=True) if not kept])
    learned = np.ascontiguousarray(pictures.features[:, ~held])
    batches = max(1, learned.shape[0] * learned.shape[1] // _BATCH)
    config = LinearNeckConfig(
        dimension=DIMENSION, batch=_BATCH, epochs=max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / batches))
    )
    space = fit_teacher_space(learned, classes, DIMENSION, config, _RAW_WEIGHT, progress)
    labels = np.array([str(example.label) for example in pictures.examples])
    whole = pictures.features[0].astype(np.float32)
    return Adaptation(
        space,
        int((~held).sum()),
        classes.count,
        int(held.sum()),
        measure(whole, labels, held),
        measure(space(whole), labels, held),
    )
