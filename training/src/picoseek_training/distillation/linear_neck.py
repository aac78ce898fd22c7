"""A linear neck on a frozen network's features, learned from labels in minutes: a better teacher than the features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from picoseek_training.configuration import STRICT
from picoseek_training.losses.domain_classification import DomainCrossEntropy
from picoseek_training.networks.recognition import BNNeck, FCHead

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class LinearNeckConfig:
    """How the neck is learned."""

    __pydantic_config__ = STRICT

    dimension: int = 512
    """Components of the embedding."""
    epochs: int = 8
    """Passes over the rows."""
    batch: int = 256
    """Rows a step."""
    learning_rate: float = 1e-3
    """Peak of the cosine schedule of AdamW."""
    weight_decay: float = 0.05
    """Decoupled decay of the linear maps."""
    dropout: float = 0.2
    """Part of the input features dropped in each step."""
    smoothing: float = 0.1
    """Label smoothing."""
    seed: int = 0
    """Seed of initialisation, order and dropout."""


@dataclass(frozen=True)
class LinearNeck:
    """embedding = features @ weight + bias."""

    weight: Matrix
    """[features, dimension]."""
    bias: Matrix
    """[dimension]."""

    def __call__(self, features: Matrix) -> Matrix:
        """Embeddings [N, dimension], not normalised, of features [N, D]."""
        return features @ self.weight + self.bias


def learn_linear_neck(
    features: NDArray[np.float16] | Matrix,
    classes: NDArray[np.int64],
    class_domains: NDArray[np.int64],
    config: LinearNeckConfig,
    progress: Callable[[int, int], None],
) -> LinearNeck:
    """Learn a projection and a BNNeck under a classifier; the BNNeck is folded into the returned map.

    Args:
        features: [M, D] of labelled rows.
        classes: [M], each within `class_domains`.
        class_domains: [C] domain of each class; a row competes with the classes of its own domain.
        config: how to learn.
        progress: receives the finished and the total number of epochs.

    Raises:
        ValueError: there are fewer than two classes.
    """
    if len(class_domains) < 2:
        raise ValueError("a neck needs pictures of at least two classes")
    paddle.seed(config.seed)
    scale = 1.0 / float(features[:4096].astype(np.float32).std())
    projection = nn.Linear(features.shape[1], config.dimension, bias_attr=False)
    neck, head = BNNeck(config.dimension), FCHead(config.dimension, len(class_domains))
    dropout = nn.Dropout(config.dropout)
    model = nn.LayerList([projection, neck, head])
    steps = config.epochs * (len(features) // min(config.batch, len(features)))
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(config.learning_rate, steps)
    optimizer = paddle.optimizer.AdamW(schedule, parameters=model.parameters(), weight_decay=config.weight_decay)
    loss = DomainCrossEntropy(class_domains, config.smoothing)
    for epoch in range(config.epochs):
        for rows in _batches(len(features), config, epoch):
            inputs = paddle.to_tensor(features[rows].astype(np.float32) * np.float32(scale))
            value = loss(head(neck(projection(dropout(inputs)))), paddle.to_tensor(classes[rows]))
            value.backward()
            optimizer.step()
            optimizer.clear_grad()
            schedule.step()
        progress(epoch + 1, config.epochs)
    bn = neck.feat_bn
    scales, shifts, means, variances = (
        np.asarray(tensor, dtype=np.float32) for tensor in (bn.weight, bn.bias, bn._mean, bn._variance)
    )
    factor = scales / np.sqrt(variances + np.float32(bn._epsilon))
    weight = np.asarray(projection.weight, dtype=np.float32) * factor * np.float32(scale)
    return LinearNeck(weight, shifts - means * factor)


def _batches(count: int, config: LinearNeckConfig, epoch: int) -> Iterator[NDArray[np.int64]]:
    order = np.random.default_rng((config.seed, epoch)).permutation(count)
    size = min(config.batch, count)
    for first in range(0, count - size + 1, size):
        yield order[first : first + size]
