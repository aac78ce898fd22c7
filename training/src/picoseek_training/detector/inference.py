"""Running a detector over many pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.networks.picodet.detector import PicoDet
from picoseek_training.networks.picodet.nms import NmsConfig, multiclass_nms

Detect = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From pictures [N, 3, H, W] and scale factors [N, 2] to rows [M, 6] and counts [N]."""


def batches(
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], preprocessor: Preprocessor, batch_size: int = 16
) -> Iterator[Tensor]:
    """Normalise BGR pictures and yield them as batches [N, 3, H, W], in order."""
    for first in range(0, len(pictures), batch_size):
        chunk = [preprocessor(np.asarray(picture)) for picture in pictures[first : first + batch_size]]
        yield paddle.to_tensor(np.stack(chunk))


def detect_all(
    detect: Detect,
    pictures: NDArray[np.uint8],
    scale_factors: NDArray[np.float32],
    preprocessor: Preprocessor,
    batch_size: int = 16,
) -> list[NDArray[np.float32]]:
    """Detect in all pictures.

    Args:
        detect: A `PicoDet` in evaluation mode, or another function like it.
        pictures: [N, height, width, 3] uint8 BGR.
        scale_factors: [N, 2] input height / original height, input width / original width.
        preprocessor: Normalisation.
        batch_size: Pictures at a time.

    Returns:
        Rows [m, 6] (class, score, x1, y1, x2, y2 in original pixels) of each picture.
    """
    found: list[NDArray[np.float32]] = []
    with paddle.no_grad():
        for index, batch in enumerate(batches(pictures, preprocessor, batch_size)):
            scale = scale_factors[index * batch_size : index * batch_size + len(batch)]
            rows, counts = detect(batch, paddle.to_tensor(scale))
            found.extend(np.split(rows.numpy().reshape(-1, 6), np.cumsum(counts.numpy())[:-1]))
    return found


def class_agnostic(detector: PicoDet, nms: NmsConfig) -> Detect:
    """Make a detector of many classes answer with one: the best class is the score, one suppression for all."""

    def detect(image: Tensor, scale_factor: Tensor) -> tuple[Tensor, Tensor]:
        predictions = detector.dense(image)
        best = detector.probabilities(predictions).max(axis=2).unsqueeze(1)
        scale = paddle.flip(scale_factor, axis=[1]).tile([1, 2]).unsqueeze(1)
        return multiclass_nms(detector.boxes(predictions) / scale, best, nms)

    return detect
