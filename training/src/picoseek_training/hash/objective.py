"""The loss that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from picoseek_training.hash.config import HashLossConfig
from picoseek_training.hash.contrast import pair_loss
from picoseek_training.hash.neighbourhood import neighbourhood_loss
from picoseek_training.losses.hashing import DCHLoss, DSHSDLoss, LCDSHLoss
from picoseek_training.networks.recognition import FCHead


@dataclass(frozen=True)
class HashLosses:
    """Parts of the loss, each a scalar before its weight."""

    labels: Tensor
    structure: Tensor
    pairs: Tensor


class HashObjective(nn.Layer):
    """Loss over labels, with the classifier that DSHSD learns beside, the neighbourhoods of the vectors, and pairs."""

    def __init__(self, config: HashLossConfig, bits: int, classes: int) -> None:
        super().__init__()
        self._config = config
        self.classifier = FCHead(bits, classes) if config.kind == "dshsd" else None
        self._over_labels = self._chosen(config)

    def forward(self, codes: Tensor, vectors: Tensor, classes: Tensor, labelled: int, pairs: int) -> HashLosses:
        """Return the parts.

        Args:
            codes: [n, bits] from -1 to 1.
            vectors: [n, D] whose neighbourhoods codes shall have, at unit norm.
            classes: [n], -1 without a label.
            labelled: so many rows at the beginning are for the loss over labels.
            pairs: so many pairs are at the end, one side after the other.
        """
        zero = paddle.zeros([])
        config = self._config
        first, second = len(codes) - 2 * pairs, len(codes) - pairs
        labels = self._over_labels(codes[:labelled], classes[:labelled]) if config.labels else zero
        others = slice(labelled, first)
        structure = neighbourhood_loss(codes[others], vectors[others], config.temperature) if config.structure else zero
        told = (
            pair_loss(codes[first:second], codes[second:], classes[second:], config.pairs_temperature)
            if config.pairs
            else zero
        )
        return HashLosses(labels, structure, told)

    def total(self, losses: HashLosses) -> Tensor:
        """Return their weighted sum."""
        config = self._config
        return config.labels * losses.labels + config.structure * losses.structure + config.pairs * losses.pairs

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
