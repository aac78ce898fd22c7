"""Batches of labelled pictures; that of a step depends on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.classes import ClassTable
from picoseek_training.data.example import Example
from picoseek_training.data.example_store import read_region, stored_examples
from picoseek_training.data.normalisation import normalised
from picoseek_training.data.pk_sampler import PkSampler
from picoseek_training.data.recognition_augmentation import augment
from picoseek_training.parallel.processes import Processes
from picoseek_training.recognition.config import RecognitionTrainingConfig


@dataclass(frozen=True)
class Batch:
    """One process's part of a step's data; N pictures."""

    images: NDArray[np.float32]
    """[N, 3, size, size], normalised."""
    labels: NDArray[np.int64]
    """[N] classes."""
    names: tuple[str, ...]
    """Files of the pictures."""


class RecognitionBatches:
    """Draws the batches of a recipe.

    Raises:
        ValueError: The pictures do not make a batch of the recipe's kind; the message names the key.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        classes: ClassTable,
        config: RecognitionTrainingConfig,
        processes: Processes,
    ) -> None:
        self._examples = examples
        self._classes = classes.classes
        self._config = config
        self._own = processes.part(config.batch_size)
        self._whole_batch = config.batch_size * processes.count
        self._pictures = None if config.cache is None else stored_examples(examples, config.size, config.cache)
        self._sampler = self._pk_sampler() if config.sampler.kind == "pk" else None
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._pool = ThreadPoolExecutor(max(1, config.workers), thread_name_prefix="pictures")
        if self._sampler is None and len(examples) < self._whole_batch:
            raise ValueError(
                f"batch_size: the sets have {len(examples)} pictures, a step takes {self._whole_batch}; take less"
            )
        natural = len(examples) / self._whole_batch
        self._per_pass = int(natural)
        self.steps_per_epoch = config.steps_per_epoch or (
            self._per_pass if self._sampler is None else max(1, int(np.ceil(natural)))
        )
        """Steps that count as an epoch."""

    def batch(self, step: int) -> Batch:
        """Return this process's part of a step's batch."""
        rows = self._rows(step)[self._own]
        first = self._own.start
        views = list(self._pool.map(lambda at: self._view(step, first + at, int(rows[at])), range(len(rows))))
        names = tuple(str(self._examples[row].path) for row in rows)
        return Batch(normalised(np.stack(views)), self._classes[rows], names)

    def _rows(self, step: int) -> NDArray[np.int64]:
        if self._sampler is not None:
            return self._sampler.batch(step)
        number, place = divmod(step, self._per_pass)
        if self._order is None or self._order[0] != number:
            order = np.random.default_rng((self._config.seed, number)).permutation(len(self._examples))
            self._order = (number, order)
        return self._order[1][place * self._whole_batch : (place + 1) * self._whole_batch]

    def _view(self, step: int, place: int, row: int) -> NDArray[np.uint8]:
        picture = read_region(self._examples[row]) if self._pictures is None else self._pictures[row]
        rng = np.random.default_rng((self._config.seed, step, place))
        return augment(picture, self._config.size, self._config.augmentation, rng)

    def _pk_sampler(self) -> PkSampler:
        config, each = self._config.sampler, self._config.sampler.pictures_per_class
        if each < 1 or self._config.batch_size % each:
            raise ValueError(
                f"sampler.pictures_per_class: {each} does not divide the batch of {self._config.batch_size}"
            )
        unknown = sorted(set(config.emphasis) - set(self._config.sets))
        if unknown:
            raise ValueError(f"sampler.emphasis: {unknown[0]} is not in `sets`")
        factors = np.ones(int(self._classes.max()) + 1)
        for row, example in zip(self._classes, self._examples, strict=True):
            factors[row] = config.emphasis.get(example.domain, 1.0)
        try:
            return PkSampler(
                self._classes,
                self._whole_batch // each,
                each,
                self._config.seed,
                config.weighting,
                factors if config.emphasis else None,
            )
        except ValueError as error:
            raise ValueError(f"batch_size, sampler: {error}") from error
