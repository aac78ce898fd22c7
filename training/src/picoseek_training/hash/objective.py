"""The loss that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from picoseek_training.hash.config import HashLossConfig
from picoseek_training.hash.neighbourhood import neighbourhood_loss
from picoseek_training.losses.hashing import DCHLoss, DSHSDLoss, LCDSHLoss
from picoseek_training.networks.recognition import FCHead


@dataclass(frozen=True)
class HashLosses:
    """Parts of the loss, each a scalar before its weight."""

    labels: Tensor
    structure: Tensor


class HashObjective(nn.Layer):
    """Loss over labels, with the classifier that DSHSD learns beside, and the neighbourhoods of the vectors."""

    def __init__(self, config: HashLossConfig, bits: int, classes: int) -> None:
        super().__init__()
        self._config = config
        self.classifier = FCHead(bits, classes) if config.kind == "dshsd" else None
        self._over_labels = self._chosen(config)

    def forward(self, codes: Tensor, vectors: Tensor, classes: Tensor) -> HashLosses:
        """Return the parts.

        Args:
            codes: [n, bits] from -1 to 1.
            vectors: [n, D] whose neighbourhoods codes shall have, at unit norm.
            classes: [m] of the first m rows, m <= n.
        """
        zero = paddle.zeros([])
        config = self._config
        labels = self._over_labels(codes[: len(classes)], classes) if config.labels else zero
        others = slice(len(classes), None)
        structure = neighbourhood_loss(codes[others], vectors[others], config.temperature) if config.structure else zero
        return HashLosses(labels, structure)

    def total(self, losses: HashLosses) -> Tensor:
        """Return their weighted sum."""
        return self._config.labels * losses.labels + self._config.structure * losses.structure

    def _chosen(self, config: HashLossConfig) -> Callable[[Tensor, Tensor], Tensor]:
        weight = {} if config.quantisation is None else {"quantisation_weight": config.quantisation}
        if config.kind == "lcdsh":
            return LCDSHLoss(**weight)
        if config.kind == "dch":
            return DCHLoss(gamma=config.gamma, **weight)
        classifier = self.classifier
        assert classifier is not None
        dshsd = DSHSDLoss(alpha=config.alpha)
        return lambda codes, classes: dshsd(codes, classifier(codes), classes.unsqueeze(1))
