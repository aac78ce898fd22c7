"""What a recognition model minimises, made of the losses that its recipe lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor

from picoseek_training.losses.classification import CELoss
from picoseek_training.losses.triplet import (
    TripletAngularMarginLoss,
    TripletAngularMarginLossXBM,
    TripletLossV2,
)
from picoseek_training.networks.recognition import RecognitionOutput
from picoseek_training.parallel.processes import Processes
from picoseek_training.recognition.config import LossConfig

_PairLoss = Callable[[Tensor, Tensor], Tensor]


class Objective:
    """The weighted sum of the losses. Losses over pairs see the pictures of all processes.

    Raises:
        ValueError: There is no loss.
    """

    def __init__(self, losses: Sequence[LossConfig], dimension: int, processes: Processes) -> None:
        if not losses:
            raise ValueError("losses: name at least one")
        self._losses = [(config, _pair_loss(config, dimension)) for config in losses]
        self._processes = processes

    def __call__(self, output: RecognitionOutput, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the sum, and each loss without its weight, for classes [N]."""
        features, logits = output.features.astype("float32"), output.logits
        total = paddle.zeros([])
        parts: dict[str, float] = {}
        for config, pair_loss in self._losses:
            if pair_loss is None:
                assert logits is not None  # a model that is trained has a head
                value = CELoss(config.smoothing)(logits.astype("float32"), labels.unsqueeze(1))
            else:
                value = pair_loss(self._processes.gathered(features), self._processes.gathered(labels))
            total = total + config.weight * value
            parts[config.kind] = float(value.numpy())
        return total, parts

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on exactly."""
        return {
            str(index): loss.state_dict()
            for index, (_, loss) in enumerate(self._losses)
            if isinstance(loss, TripletAngularMarginLossXBM)
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        for index, content in state.items():
            loss = self._losses[int(index)][1]
            assert isinstance(loss, TripletAngularMarginLossXBM)
            loss.load_state_dict(content)


def _pair_loss(config: LossConfig, dimension: int) -> _PairLoss | None:
    """Return the loss over pairs of a configuration; None for the cross entropy, which looks at logits."""
    if config.kind == "cross_entropy":
        return None
    if config.kind == "triplet":
        return TripletLossV2(config.margin)
    angular = TripletAngularMarginLoss(
        margin=config.margin,
        add_absolute=config.add_absolute,
        absolute_loss_weight=config.absolute_weight,
        ap_value=config.ap_value,
        an_value=config.an_value,
    )
    if config.kind == "triplet_angular_margin":
        return angular
    return TripletAngularMarginLossXBM(
        config.memory_start, config.memory_size, config.memory_weight, dimension, angular
    )
