"""Keeping what a detector knew while it learns new sets: the answers of its old self, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F

_SMALLEST = 1e-6
_FADING = 1.5
"""Power of the difference by which cells that agree already fade; the quality focal loss has 2."""
SURE = 0.1
"""Score from which on the old self's distances are learned."""


@dataclass(frozen=True)
class CellMemory:
    """What the old self answers, and where that counts."""

    scores: NDArray[np.float32]
    """[N, L] its best class, 0 to 1."""
    distributions: Tensor
    """[N, L, 4 * (reg_max + 1)] logits of its distances."""
    kept: NDArray[np.bool_]
    """[N, L] cells that shall go on answering as it does."""
    ignored: NDArray[np.bool_]
    """[N, L] cells where it sees an object that nobody annotated: no negatives."""


def cell_memory(
    scores: NDArray[np.float32],
    distributions: Tensor,
    seen: NDArray[np.float32],
    truth: list[NDArray[np.float32]],
    annotated: NDArray[np.bool_],
    seen_score: float,
) -> CellMemory:
    """Decide where the old self counts.

    In an annotated picture the annotations rule: objects that only the old self sees are neither taught nor punished.
    In a picture without annotations all cells go on answering as it does, but those on boxes that were pasted in.

    Args:
        scores: [N, L] scores of the old self.
        distributions: [N, L, 4 * (reg_max + 1)] its logits.
        seen: [N, L, 4] the boxes that it sees, in input pixels.
        truth: [n, 4] boxes of each picture, in input pixels.
        annotated: [N] whether everything in the picture is annotated.
        seen_score: Score from which on it sees an object.
    """
    strong = scores >= seen_score
    covered = np.zeros_like(strong)
    for picture, boxes in enumerate(truth):
        cells = np.flatnonzero(strong[picture])
        if len(boxes) and len(cells):
            covered[picture, cells] = _share_inside(seen[picture, cells], boxes) > 0.5
    return CellMemory(
        scores=scores,
        distributions=distributions,
        kept=~annotated[:, None] & ~covered,
        ignored=annotated[:, None] & strong & ~covered,
    )


def _share_inside(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n] largest share of each box [n, 4] that one of the others [m, 4] covers."""
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), _SMALLEST)
    share: NDArray[np.float32] = (np.maximum(sides, 0.0).prod(axis=2) / areas[:, None]).max(axis=1)
    return share


@dataclass(frozen=True)
class CellMemoryLoss:
    """Learning without forgetting (arXiv:1606.09282) for a detector of one class.

    Scores are compared by a binary cross entropy that fades where they agree, the distributions of the distances by
    their KL divergence, weighted by the old self's score, where that is sure.
    """

    score_weight: float = 1.5
    distance_weight: float = 0.5

    def __call__(
        self, probabilities: Tensor, distributions: Tensor, memory: CellMemory, kept: NDArray[np.bool_], bins: int
    ) -> tuple[Tensor, Tensor]:
        """Compute the two parts, as sums over cells.

        Args:
            probabilities: [N, L] scores.
            distributions: [N, L, 4 * bins] logits.
            memory: Answers of the old self.
            kept: [N, L] cells to compare.
            bins: Bins of a distance.
        """
        target = paddle.to_tensor(memory.scores)
        entropy = F.binary_cross_entropy(probabilities.clip(_SMALLEST, 1.0 - _SMALLEST), target, reduction="none")
        fading = (probabilities.detach() - target).abs().pow(_FADING)
        scores = (entropy * fading * paddle.to_tensor(kept.astype(np.float32))).sum()
        cells = np.flatnonzero(kept & (memory.scores > SURE))
        if not len(cells):
            return self.score_weight * scores, distributions.sum() * 0.0
        own, old = (
            paddle.index_select(logits.reshape([-1, 4 * bins]), paddle.to_tensor(cells)).reshape([-1, bins])
            for logits in (distributions, memory.distributions)
        )
        divergence = F.kl_div(F.log_softmax(own), F.softmax(old), reduction="none").sum(axis=1)
        weight = paddle.to_tensor(np.repeat(memory.scores.reshape(-1)[cells], 4))
        return self.score_weight * scores, self.distance_weight * (divergence * weight).sum()
