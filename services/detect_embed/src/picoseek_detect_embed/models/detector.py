"""Finds the main bodies of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, DetectorOutput

from picoseek_detect_embed.engine.spec import InputTensor
from picoseek_detect_embed.models.served_model import EngineOptions, Inference, ServedModel


@dataclass(frozen=True)
class Detection:
    """A box that the detector found."""

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the picture, as the network gave them: not clipped."""
    score: float
    """Confidence, 0 to 1."""
    label: str
    """Class name; empty for a class that the manifest does not name."""


class Detector:
    """A detection model that is being served."""

    def __init__(self, bundle: Bundle, options: EngineOptions, pool: Executor, on_change: Callable[[], None]) -> None:
        """Take memory; `model.run` starts the engines. See ServedModel for the arguments."""
        manifest = bundle.manifest
        assert isinstance(manifest.output, DetectorOutput)
        self._output = manifest.output
        self._scale_factor = manifest.scale_factor_input
        self._im_shape = manifest.im_shape_input
        names = [name for name in (self._scale_factor, self._im_shape) if name is not None]
        self.model = ServedModel(
            bundle,
            options,
            pool,
            extra_inputs=[InputTensor(name, (2,)) for name in names],
            outputs=(manifest.output.boxes or 0, manifest.output.counts or 1),
            split=split_detections,
            on_change=on_change,
        )

    @property
    def score_threshold(self) -> float:
        """Default lower bound of scores."""
        return self._output.score_threshold

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        return self._output.labels

    async def detect(
        self, picture: NDArray[np.uint8], score_threshold: float, max_detections: int, deadline: float
    ) -> tuple[list[Detection], Inference]:
        """Return detections by falling score.

        Args:
            picture: [height, width, 3] uint8, BGR.
            score_threshold: lower ones are left out.
            max_detections: at most so many, the best.
            deadline: by the event loop's clock, in seconds.

        Raises:
            TimeoutError: the deadline passed before an engine was free.
            EngineError: the batch failed.
        """
        preprocessor = self.model.preprocessor
        scale = preprocessor.scale_factor(picture)
        extra: dict[str, tuple[float, ...]] = {}
        if self._scale_factor is not None:
            extra[self._scale_factor] = scale
        if self._im_shape is not None:
            extra[self._im_shape] = (float(preprocessor.spec.height), float(preprocessor.spec.width))

        def prepare(out: NDArray[np.float32]) -> None:
            preprocessor(picture, out)

        inference = await self.model.infer(prepare, extra, deadline)
        rows = inference.output
        rows = rows[rows[:, 1] >= score_threshold]
        rows = rows[np.argsort(-rows[:, 1], kind="stable")][:max_detections]
        if self._scale_factor is None:
            # The network knows only its own input, so its boxes are in pixels of that.
            rows = rows / np.array([1, 1, scale[1], scale[0], scale[1], scale[0]], dtype=np.float32)
        return [self._detection(row) for row in rows.tolist()], inference

    def _detection(self, row: Sequence[float]) -> Detection:
        index, score, x1, y1, x2, y2 = row
        labels = self._output.labels
        label = labels[int(index)] if 0 <= index < len(labels) else ""
        return Detection((x1, y1, x2, y2), min(score, 1.0), label)


def split_detections(outputs: Sequence[NDArray[Any]], size: int) -> list[NDArray[Any]]:
    """Cut the rows of a batch into those of each picture.

    Args:
        outputs: [M, 6] float32 rows (class, score, x1, y1, x2, y2) and [size] rows a picture.
        size: pictures in the batch.

    Returns:
        [m, 6] float32 a picture.
    """
    rows, counts = outputs
    if rows.ndim != 2 or rows.shape[1] != 6:
        # A network that found nothing in the whole batch returns a placeholder of another shape.
        rows = np.empty((0, 6), dtype=np.float32)
    counts = counts.reshape(-1)[:size]
    ends = np.minimum(np.cumsum(counts), len(rows)).tolist()
    starts = [0, *ends[:-1]]
    return [rows[start:end] for start, end in zip(starts, ends, strict=True)]
