"""Batches as a pure function of seed and step, so that a resumed run sees what the uninterrupted one would."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.data.cut_outs import paste, read_cut_outs
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
from picoseek_training.parallel.processes import ONE_PROCESS, Processes

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
    names: tuple[str, ...]
    """Set and number of each picture; of a mosaic, of its first."""
    annotated: NDArray[np.bool_]
    """[N] whether everything in the picture is annotated."""

    @property
    def boxes(self) -> list[NDArray[np.float32]]:
        """[n, 4] objects of each picture, in input pixels."""
        return [boxes[valid] for boxes, valid in zip(self.truth.boxes, self.truth.valid, strict=True)]


class BatchSampler:
    """Draws batches from several sets in the shares that these ask for.

    A mosaic is of annotated pictures or of others. The n-th picture of a step is the same however many processes share
    the step.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        augmentation: AugmentationConfig,
        batch_size: int,
        seed: int,
        processes: Processes = ONE_PROCESS,
        workers: int = 2,
    ) -> None:
        """Take the data.

        Args:
            sets: With their targets.
            augmentation: What happens to a sample.
            batch_size: Samples a step, for each process.
            seed: Of all batches.
            processes: Those that share a step.
            workers: Threads that make samples.
        """
        self._sets = {kind: [data for data in sets if data.annotated is kind] for kind in (True, False)}
        self._annotated_share = _share(self._sets[True]) / _share(sets)
        self._augmentation = augmentation
        pasted = augmentation.paste
        self._cut_outs = [] if pasted is None else read_cut_outs(pasted.images, pasted.first)
        self._own = range(processes.count * batch_size)[processes.part(batch_size)]
        self._pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="samples")
        self._seed = seed
        self._preprocessors = {size: Preprocessor(input_spec(size)) for size in augmentation.sizes}

    def batch(self, step: int) -> Batch:
        """Return this process's part of the batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        size = int(rng.choice(self._augmentation.sizes))
        interpolation = int(rng.choice(INTERPOLATIONS))

        def make(number: int) -> tuple[DetectionSample, str, bool]:
            return self._sample(size, interpolation, np.random.default_rng([self._seed, step, number]))

        drawn = list(self._pool.map(make, self._own))
        samples = [sample for sample, _, _ in drawn]
        preprocess = self._preprocessors[size]
        return Batch(
            np.stack([preprocess(sample.picture) for sample in samples]),
            _pad([sample.boxes for sample in samples]),
            [sample.ignored for sample in samples],
            tuple(name for _, name, _ in drawn),
            np.array([annotated for _, _, annotated in drawn]),
        )

    def _sample(self, size: int, interpolation: int, rng: np.random.Generator) -> tuple[DetectionSample, str, bool]:
        annotated = bool(rng.random() < self._annotated_share)
        if rng.random() < self._augmentation.mosaic:
            drawn = [self._draw(annotated, rng) for _ in range(4)]
            name = drawn[0][1]
            sample = mosaic([random_flip(each, rng) for each, _ in drawn], size, rng)
        else:
            sample, name = self._draw(annotated, rng)
            if rng.random() < self._augmentation.crop:
                sample = random_crop(sample, rng)
            sample = random_flip(sample, rng)
        sample = resize(sample, size, size, interpolation)
        pasted = self._augmentation.paste
        if pasted is not None and not annotated and rng.random() < pasted.probability:
            sample = paste(sample, self._cut_outs, pasted.most, pasted.sides, rng)
        sample = random_colour(sample, rng)
        large = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST_SIDE
        small_ignored = np.concatenate([sample.ignored, sample.boxes[~large]])
        return DetectionSample(sample.picture, sample.boxes[large], small_ignored), name, annotated

    def _draw(self, annotated: bool, rng: np.random.Generator) -> tuple[DetectionSample, str]:
        sets = self._sets[annotated]
        shares = np.array([data.share for data in sets])
        data = sets[int(rng.choice(len(sets), p=shares / shares.sum()))]
        number = int(rng.integers(len(data.targets)))
        return data.sample(number), f"{data.name}/{number}"


def _share(sets: Sequence[TrainingSet]) -> float:
    return sum(data.share for data in sets)


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
