"""Whitening of an embedder, folded into its last layers: it costs nothing at inference.

Training leaves most of the variance in a few directions, which drown the rest in a cosine. Decorrelating the pooled
features and giving every direction the same variance (Jégou and Chum 2012) needs no labels. With labels the embedding
itself can be whitened by what differs within a class (within_class.py).
"""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from picoseek_training.embedder.set_directions import without_set_directions
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.within_class import within_class_whitening
from picoseek_training.evaluation.retrieval import unit_rows
from picoseek_training.networks.recognition import BNNeck, RecModel

Matrix = NDArray[np.float32]


@paddle.no_grad()
def pooled_features(embedder: Embedder, images: Matrix, batch_size: int = 32) -> Matrix:
    """Return what the last convolution sees, [N, channels], of normalised pictures [N, 3, S, S]."""
    embedder.eval()
    backbone = embedder.backbone
    parts = [
        backbone.avg_pool(backbone.stage_maps(paddle.to_tensor(images[first : first + batch_size]))[-1])
        for first in range(0, len(images), batch_size)
    ]
    return np.concatenate([part.flatten(1).numpy() for part in parts])


def whiten(embedder: Embedder, pooled: Matrix, shrinkage: float = 3e-3) -> None:
    """Replace the last convolution and the neck by centring and whitening, in place.

    Args:
        embedder: its dimension must not exceed the channels of its last stage.
        pooled: [N, channels] pooled features of pictures like those to come, more than there are channels.
        shrinkage: part of the mean variance that is added to every direction's.

    Raises:
        ValueError: the embedding has more components than the pooled features.
    """
    dimension, channels = embedder.backbone.last_conv.weight.shape[:2]
    if dimension > channels:
        raise ValueError(f"{channels} pooled features cannot be whitened to {dimension} components")
    rows = pooled.astype(np.float64)
    mean = rows.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    variances = variances + shrinkage * variances.mean()
    kept = slice(channels - dimension, channels)
    weight = (directions[:, kept] / np.sqrt(variances[kept])).T
    _set_tail(embedder, weight, -weight @ mean)


def whiten_within_classes(
    embedder: Embedder | RecModel,
    embeddings: Matrix,
    classes: NDArray[np.int64],
    sets: NDArray[np.int64],
    shrinkage: float = 0.3,
) -> None:
    """Put a linear map behind the neck, folded into it and the last convolution, in place.

    The map centres, leaves out the directions between the sets' means, and gives what differs within a class about one
    variance in all directions.

    Args:
        embedder: its neck is a normalisation.
        embeddings: [N, dimension] of training pictures, not normalised.
        classes: [N] of these, -1 without a label.
        sets: [N] number of the set that each is of.
        shrinkage: part of the mean variance within classes that is added to every direction's.

    Raises:
        ValueError: no picture has a label.
    """
    if (classes < 0).all():
        raise ValueError("no training picture has a label, so that nothing is known of what differs within a class")
    unit = unit_rows(embeddings)[None]
    whitening = within_class_whitening(unit, classes, shrinkage)
    reduced = (without_set_directions(unit, sets) @ whitening).T
    centre = np.linalg.norm(embeddings, axis=1).mean() * unit.mean(axis=(0, 1), dtype=np.float64)
    convolution, norm = embedder.backbone.last_conv, _norm(embedder)
    # The networks of embedders have every one of them.
    assert norm.weight is not None and norm.bias is not None and convolution.bias is not None
    scale, shift = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + norm._epsilon), norm.bias.numpy()
    weight = scale[:, None] * convolution.weight.numpy()[:, :, 0, 0].astype(np.float64)
    bias = scale * (convolution.bias.numpy() - norm._mean.numpy()) + shift
    _set_tail(embedder, reduced @ weight, reduced @ (bias - centre))


def _norm(embedder: Embedder | RecModel) -> nn.BatchNorm1D:
    neck = embedder.neck
    if not isinstance(neck, BNNeck):
        raise ValueError("only an embedder whose neck is a normalisation can be whitened")
    return neck.feat_bn


def _set_tail(embedder: Embedder | RecModel, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    """Let the last convolution be weight [dimension, channels] and bias, and the neck the identity."""
    convolution, norm = embedder.backbone.last_conv, _norm(embedder)
    ones, zeros = np.ones(len(bias)), np.zeros(len(bias))
    parameters = (convolution.weight, convolution.bias, norm.weight, norm.bias, norm._mean, norm._variance)
    values = (weight[:, :, None, None], bias, ones, zeros, zeros, ones - norm._epsilon)
    for parameter, value in zip(parameters, values, strict=True):
        assert parameter is not None  # as above
        parameter.set_value(value.astype(np.float32))
