"""Whitening of an embedder's pooled features, folded into its last layers.

Training leaves most of the variance in a few directions, which drown the rest in a cosine. Decorrelating the pooled
features and giving every direction the same variance (Jégou and Chum 2012) needs no labels and costs nothing at
inference.
"""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from picoseek_training.embedder.student import Embedder

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
    convolution, norm = embedder.backbone.last_conv, embedder.neck.feat_bn
    dimension, channels = convolution.weight.shape[:2]
    if dimension > channels:
        raise ValueError(f"{channels} pooled features cannot be whitened to {dimension} components")
    rows = pooled.astype(np.float64)
    mean = rows.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    variances = variances + shrinkage * variances.mean()
    kept = slice(channels - dimension, channels)
    weight = (directions[:, kept] / np.sqrt(variances[kept])).T
    parameters = (convolution.weight, convolution.bias, norm.weight, norm.bias, norm._mean, norm._variance)
    values = (
        weight[:, :, None, None],
        -weight @ mean,
        np.ones(dimension),
        np.zeros(dimension),
        np.zeros(dimension),
        np.ones(dimension) - norm._epsilon,
    )
    for parameter, value in zip(parameters, values, strict=True):
        assert parameter is not None  # the networks of embedders have every one of them
        parameter.set_value(value.astype(np.float32))
