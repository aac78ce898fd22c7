"""From a detector of many classes to one that answers only whether something is an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F

from picoseek_training.networks.picodet.detector import PicoDet
from picoseek_training.networks.picodet.pico_head_v2 import PicoHeadV2

NEWTON_STEPS = 12
_HALVINGS = 20
RIDGE = 1e-6
"""Penalty of a squared weight, relative to the feature's variance."""


def to_one_class(source: PicoDet, images: Sequence[Tensor]) -> PicoDet:
    """Build a detector of one class whose score follows the best class of `source`.

    Everything but the class convolutions is copied. Each level's class convolution is fitted by logistic regression:
    from the features that it sees on real pictures to the largest class probability of each cell.

    Args:
        source: Trained detector with a PicoHeadV2.
        images: Batches [N, 3, H, W] of normalised real pictures.

    Raises:
        ValueError: The source has another head.
    """
    if not isinstance(source.head, PicoHeadV2):
        raise ValueError("only a detector with PicoHeadV2 can be made class-agnostic")
    source.eval()
    target = PicoDet(replace(source.config, num_classes=1))
    target.eval()
    classes = ("head.head_cls_list", "head.head_cls")
    copied = {key: value for key, value in source.state_dict().items() if not key.startswith(classes)}
    target.set_state_dict({**target.state_dict(), **copied})

    for predictor, (features, probabilities) in zip(
        target.head.head_cls_list, _class_inputs(source, source.head, images), strict=True
    ):
        filters = fit_logistic(features, probabilities)
        predictor.weight.set_value(filters[:-1].reshape(1, -1, 1, 1).astype(np.float32))
        predictor.bias.set_value(filters[-1:].astype(np.float32))
    return target


def fit_logistic(features: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights and, last, bias [C + 1] of the ridge logistic regression from features [n, C] to soft targets [n]."""
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    weights = np.zeros(inputs.shape[1])
    weights[-1] = np.log(probabilities.mean() / (1 - probabilities.mean()))
    penalty = np.append(RIDGE * (len(inputs) * features.var(axis=0) + 1.0), 0.0)
    for _ in range(NEWTON_STEPS):
        # Clipped where the probability differs from 0 or 1 by less than 1e-13, and exp is far from its overflow.
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30.0, 30.0)))
        gradient = inputs.T @ (predicted - probabilities) + penalty * weights
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        # On few pictures a whole step may go far beyond the valley.
        sizes = (0.5**halvings for halvings in range(_HALVINGS))
        before = _logistic_loss(inputs, probabilities, penalty, weights)
        size = next(
            (size for size in sizes if _logistic_loss(inputs, probabilities, penalty, weights - size * step) < before),
            None,
        )
        if size is None:
            break
        weights = weights - size * step
    return weights


def _logistic_loss(
    inputs: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    penalty: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> float:
    logits = inputs @ weights
    return float((np.logaddexp(0.0, logits) - probabilities * logits).sum() + 0.5 * (penalty * weights**2).sum())


def _class_inputs(
    source: PicoDet, head: PicoHeadV2, images: Sequence[Tensor]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """A level each: inputs [n, C] of the class convolution and the largest probability [n] that it makes of them."""
    collected: list[tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]] = [
        ([], []) for _ in head.head_cls_list
    ]
    with paddle.no_grad():
        for image in images:
            for level, feature in enumerate(source.neck(source.backbone(image))):
                gated = head.conv_feat.gate(head.conv_feat(feature, level), level)
                best = F.sigmoid(head.head_cls_list[level](gated)).max(axis=1)
                collected[level][0].append(gated.transpose([0, 2, 3, 1]).reshape([-1, gated.shape[1]]).numpy())
                collected[level][1].append(best.reshape([-1]).numpy())
    return [
        (np.concatenate(inputs).astype(np.float64), np.concatenate(best).astype(np.float64))
        for inputs, best in collected
    ]
