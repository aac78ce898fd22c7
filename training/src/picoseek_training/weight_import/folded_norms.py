"""Restoring BatchNorm layers whose parameters were folded into the preceding convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

Floats = NDArray[np.float32]


class ChannelMoments:
    """Running mean and variance of a [N, C, H, W] stream, accumulated in float64."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum: NDArray[np.float64] = np.zeros(channels)
        self._squares: NDArray[np.float64] = np.zeros(channels)

    def update(self, values: Tensor) -> None:
        """Add a batch."""
        array = values.numpy().astype(np.float64)
        self._count += array.size // array.shape[1]
        self._sum += array.sum(axis=(0, 2, 3))
        self._squares += np.square(array).sum(axis=(0, 2, 3))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each channel [C]."""
        return self._sum / self._count

    @property
    def variance(self) -> NDArray[np.float64]:
        """Biased, as BatchNorm uses it."""
        return np.maximum(self._squares / self._count - np.square(self.mean), 0.0)


def set_folded(norm: nn.BatchNorm2D, bias: NDArray[np.float32]) -> None:
    """Make the layer add `bias` [C] and do nothing else."""
    ones, zeros = np.ones_like(bias), np.zeros_like(bias)
    assign_norm(norm, mean=zeros, variance=ones, weight=np.sqrt(ones + norm._epsilon), bias=bias)


def restore_statistics(
    run: Callable[[Tensor], object],
    folded: Sequence[tuple[nn.BatchNorm2D, NDArray[np.float32]]],
    images: Iterable[Tensor],
) -> None:
    """Give folded BatchNorm layers the statistics of real pictures without changing the network's function.

    With the measured mean m and variance v of a layer's input, scale = sqrt(v + eps) and shift = bias + m: the layer
    still adds only `bias` in evaluation, and starts training in balance.

    Args:
        run: Runs the network, in evaluation mode, on a batch; its BatchNorm layers must be `set_folded`.
        folded: The layers, each with the bias [C] it adds.
        images: Batches [N, 3, H, W].
    """
    moments = [ChannelMoments(len(bias)) for _, bias in folded]
    handles = [
        norm.register_forward_pre_hook(lambda _layer, inputs, target=moment: target.update(inputs[0]))
        for (norm, _), moment in zip(folded, moments, strict=True)
    ]
    try:
        with paddle.no_grad():
            for batch in images:
                run(batch)
    finally:
        for handle in handles:
            handle.remove()

    for (norm, bias), moment in zip(folded, moments, strict=True):
        assign_norm(
            norm,
            mean=moment.mean,
            variance=moment.variance,
            weight=np.sqrt(moment.variance + norm._epsilon),
            bias=bias + moment.mean,
        )


def assign_norm(
    norm: nn.BatchNorm2D | nn.BatchNorm1D,
    *,
    mean: NDArray[np.floating],
    variance: NDArray[np.floating],
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
) -> None:
    """Set a BatchNorm's four vectors [C]: running mean and variance, scale and shift."""
    norm._mean.set_value(mean.astype(np.float32))
    norm._variance.set_value(variance.astype(np.float32))
    assert norm.weight is not None and norm.bias is not None
    norm.weight.set_value(weight.astype(np.float32))
    norm.bias.set_value(bias.astype(np.float32))
