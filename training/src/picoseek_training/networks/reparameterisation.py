"""Fusing parallel depthwise branches, each convolution and BatchNorm, into one convolution with bias (RepVGG, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from paddle import Tensor, nn

from .layers import ConvBNAct

FloatArray = npt.NDArray[np.float32]


@runtime_checkable
class ReParameterizable(Protocol):
    """A layer that can replace its training branches by one equal inference layer."""

    def re_parameterize(self) -> None: ...


def fold_batch_norm(layer: ConvBNAct) -> tuple[FloatArray, FloatArray]:
    """Kernel (out, in / groups, k, k) and bias (out,) of the convolution that equals `layer` in evaluation.

    K' = K * t and b = beta - mean * t with t = gamma / sqrt(variance + epsilon).
    """
    bn = layer.bn
    scale = _array(bn.weight) / np.sqrt(_array(bn._variance) + bn._epsilon)
    kernel = _array(layer.conv.weight) * scale[:, None, None, None]
    return kernel, _array(bn.bias) - _array(bn._mean) * scale


def fuse_branches(branches: Sequence[ConvBNAct], target: nn.Conv2D) -> None:
    """Write the sum of the branches into `target`; smaller kernels are padded with zeros to its size."""
    size = target.weight.shape[-1]
    kernel_sum: FloatArray = np.zeros(target.weight.shape, np.float32)
    bias_sum: FloatArray = np.zeros(target.weight.shape[0], np.float32)
    for branch in branches:
        kernel, bias = fold_batch_norm(branch)
        margin = (size - kernel.shape[-1]) // 2
        kernel_sum += np.pad(kernel, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
        bias_sum += bias
    target.weight.set_value(kernel_sum)
    target.bias.set_value(bias_sum)


def re_parameterize(network: nn.Layer) -> None:
    """Fuse every layer of `network` that offers it, in place; evaluation outputs move by about 1e-6 relative."""
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, ReParameterizable):
            layer.re_parameterize()


def _array(tensor: Tensor | None) -> FloatArray:
    assert tensor is not None
    return np.asarray(tensor.numpy(), dtype=np.float32)
