"""What the official detector knew, asked for the pictures that are being learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor

from picoseek_training.losses.cell_memory import CellMemory, cell_memory
from picoseek_training.networks.picodet.detector import PicoDet


class OldSelf:
    """The official detector, fixed.

    Args:
        teacher: Of many classes; the best one counts.
        seen_score: Score from which on it sees an object.
    """

    def __init__(self, teacher: PicoDet, seen_score: float) -> None:
        self._teacher = teacher
        self._seen_score = seen_score
        teacher.eval()

    def remember(self, image: Tensor, truth: Sequence[NDArray[np.float32]], annotated: NDArray[np.bool_]) -> CellMemory:
        """Answer for a batch.

        Args:
            image: [N, 3, H, W] normalised pictures.
            truth: [n, 4] boxes of each picture, in input pixels.
            annotated: [N] whether everything in the picture is annotated.
        """
        with paddle.no_grad():
            answers = self._teacher.dense(image)
            scores = self._teacher.probabilities(answers).max(axis=2).numpy()
            seen = self._teacher.boxes(answers).numpy()
        return cell_memory(scores, answers.distributions, seen, list(truth), annotated, self._seen_score)
