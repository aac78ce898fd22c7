"""Batches as a pure function of seed and step, so that a resumed run sees what the uninterrupted one would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.data.detection_augmentation import (
    INTERPOLATIONS,
    DetectionSample,
    mosaic,
    random_colour,
    random_crop,
    random_flip,
    resize,
)
from picoseek_training.detector.config import AugmentationConfig
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.pool import TrainingSet

SMALLEST_SIDE = 4.0
"""Objects narrower than this many input pixels are ignored, not learned."""


@dataclass(frozen=True)
class Batch:
    """One training batch."""

    image: NDArray[np.float32]
    """[N, 3, size, size] normalised."""
    truth: PaddedTruth
    ignored: list[NDArray[np.float32]]
    """[m, 4] ignored regions of each picture, in input pixels."""


class BatchSampler:
    """Draws batches from several sets in the shares that these ask for."""

    def __init__(
        self, sets: Sequence[TrainingSet], augmentation: AugmentationConfig, batch_size: int, seed: int
    ) -> None:
        shares = np.array([data.share for data in sets])
        self._sets = sets
        self._shares = shares / shares.sum()
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._seed = seed
        self._preprocessors = {size: Preprocessor(input_spec(size)) for size in augmentation.sizes}

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        size = int(rng.choice(self._augmentation.sizes))
        interpolation = int(rng.choice(INTERPOLATIONS))
        samples = [self._sample(size, interpolation, rng) for _ in range(self._batch_size)]
        preprocess = self._preprocessors[size]
        return Batch(
            np.stack([preprocess(sample.picture) for sample in samples]),
            _pad([sample.boxes for sample in samples]),
            [sample.ignored for sample in samples],
        )

    def _sample(self, size: int, interpolation: int, rng: np.random.Generator) -> DetectionSample:
        if rng.random() < self._augmentation.mosaic:
            sample = mosaic([random_flip(self._draw(rng), rng) for _ in range(4)], size, rng)
        else:
            sample = self._draw(rng)
            if rng.random() < self._augmentation.crop:
                sample = random_crop(sample, rng)
            sample = random_flip(sample, rng)
        sample = random_colour(resize(sample, size, size, interpolation), rng)
        large = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST_SIDE
        return DetectionSample(
            sample.picture, sample.boxes[large], np.concatenate([sample.ignored, sample.boxes[~large]])
        )

    def _draw(self, rng: np.random.Generator) -> DetectionSample:
        data = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        return data.sample(int(rng.integers(len(data.targets))))


def ignored_cells(ignored: Sequence[NDArray[np.float32]], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[N, L]: whether a cell's centre [L, 2] lies in an ignored region of the picture."""
    inside = np.zeros((len(ignored), len(points)), bool)
    for picture, regions in enumerate(ignored):
        for region in regions:
            inside[picture] |= ((points >= region[:2]) & (points <= region[2:])).all(axis=1)
    return inside


def _pad(boxes: Sequence[NDArray[np.float32]]) -> PaddedTruth:
    most = max(len(each) for each in boxes)
    padded = np.zeros((len(boxes), most, 4), np.float32)
    valid = np.zeros((len(boxes), most), bool)
    for row, each in enumerate(boxes):
        padded[row, : len(each)] = each
        valid[row, : len(each)] = True
    return PaddedTruth(padded, np.zeros((len(boxes), most), np.int64), valid)
