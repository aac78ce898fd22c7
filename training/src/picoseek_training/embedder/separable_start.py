"""Start of PP-LCNetV2 from a trained network of depthwise-separable blocks with the same widths and depths.

PP-LCNetV2 x1.0 has those of MobileNetV1 x1.0, PP-LCNetV2 x0.5 those of PP-LCNet x1.0; activations, attention, kernel
sizes and pointwise splits differ. Depthwise kernels and their BatchNorm scales are copied into the larger kernels;
every pointwise convolution is fitted by least squares, block after block, so that the new block fed with the new
network's maps gives the old block's outputs. Statistics are those of the given pictures.

Where the new network keeps the resolution that the old one halves (ShiTu's last stage), the old one's later kernels are
dilated: a 3x3 kernel with gaps stands in a 5x5 kernel exactly (Chen et al. 2015, arXiv:1412.7062).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.embedder.regression import Matrix, reduced_rank, ridge
from picoseek_training.embedder.student import Embedder
from picoseek_training.networks.layers import ConvBNAct, SqueezeExcitation
from picoseek_training.networks.pp_lcnet import DepthwiseSeparable
from picoseek_training.networks.pp_lcnetv2 import PPLCNetV2, RepDepthwiseSeparable

_STRENGTH = 1e-4
_TAIL_STRENGTH = 1e-2
_MAX_ROWS = 40_000
# Middle of a split pointwise pair: mean 1.5 standard deviations above zero, so that its ReLU passes most of it.
_MIDDLE_SHIFT = 1.5
# Attention that the old network lacks starts nearly open: sigmoid(3) = .95.
_OPEN_GATE = 3.0
# Part that a shortcut, which the old network lacks, adds to its block's output at the start.
_SHORTCUT_SHARE = 0.1


@dataclass(frozen=True)
class SeparableSource:
    """A trained network as its stem and its blocks."""

    stem: ConvBNAct
    blocks: list[DepthwiseSeparable]
    input_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Its input is the student's times this, a value a channel,"""
    input_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """plus this."""


@paddle.no_grad()
def start_from_separable(student: PPLCNetV2, source: SeparableSource, pictures: NDArray[np.float32]) -> None:
    """Fill the stem and the stages of `student`, in place.

    Args:
        student: built with `branches="largest"`.
        source: loaded with trained weights.
        pictures: [N, 3, H, W] normalised calibration pictures, some hundreds at the size of the training.

    Raises:
        ValueError: the networks do not have the same number of blocks or the same widths.
    """
    student.eval()
    for layer in (source.stem, *source.blocks):
        layer.eval()
    new_blocks = [student.stem[1], *(block for stage in student.stages.children() for block in stage.children())]
    if len(source.blocks) != len(new_blocks):
        raise ValueError(f"the source has {len(source.blocks)} blocks, the student {len(new_blocks)}")
    _check_widths(source.blocks, new_blocks)
    stem = student.stem[0]
    assert isinstance(stem, ConvBNAct)
    maps = _fit_stem(stem, source, paddle.to_tensor(pictures))
    spacing, gain = 1, 1.0
    for index, (old, new) in enumerate(zip(source.blocks, new_blocks, strict=True)):
        assert isinstance(new, RepDepthwiseSeparable)
        following = new_blocks[index + 1] if index + 1 < len(new_blocks) else None
        # ReLU commutes with positive factors: a smaller map before a shortcut, undone after it, changes nothing else.
        gain_out = _SHORTCUT_SHARE if isinstance(following, RepDepthwiseSeparable) and following.has_shortcut else 1.0
        maps = _fit_block(old, new, maps, spacing, (gain, gain_out))
        spacing *= _first(old.dw_conv.conv._stride) // _first(_depthwise_layer(new).conv._stride)
        gain = gain_out


def fit_tail(student: Embedder, pooled: Matrix, targets: Matrix) -> None:
    """Set the last convolution and the neck so that pooled features give `targets` as nearly as they can, in place.

    The neck has no shift, so the mean of the targets is left out.

    Args:
        student: its convolution after pooling has a bias and no activation.
        pooled: [N, channels] features of N pictures after pooling.
        targets: [N, dimension] what the embeddings shall be.
    """
    convolution, norm = student.backbone.last_conv, student.neck.feat_bn
    weight, _ = ridge(pooled, targets, _TAIL_STRENGTH)
    outputs = pooled @ weight
    mean, variance = outputs.mean(axis=0), outputs.var(axis=0)
    zeros = np.zeros_like(mean)
    parameters = (convolution.weight, convolution.bias, norm.weight, norm.bias, norm._mean, norm._variance)
    values = (weight.T[:, :, None, None], zeros, np.sqrt(variance + norm._epsilon), zeros, mean, variance)
    for parameter, value in zip(parameters, values, strict=True):
        assert parameter is not None  # embedders have every one of them
        parameter.set_value(value.astype(np.float32))


def _fit_stem(new: ConvBNAct, source: SeparableSource, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of the old and the new stem; the new one takes in the change of normalisation."""
    old = source.stem
    scale, shift = (np.asarray(values, np.float32) for values in (source.input_scale, source.input_shift))
    old_map = old(pictures * paddle.to_tensor(scale[:, None, None]) + paddle.to_tensor(shift[:, None, None]))
    kernel = old.conv.weight.numpy()
    new.conv.weight.set_value(kernel * scale[:, None, None])
    norm_scale, norm_shift = _norm_map(old.bn)
    _set_norm(new, new.conv(pictures), norm_scale, norm_shift + norm_scale * (kernel.sum(axis=(2, 3)) @ shift))
    return old_map, new(pictures)


def _fit_block(
    old: DepthwiseSeparable,
    new: RepDepthwiseSeparable,
    maps: tuple[Tensor, Tensor],
    spacing: int,
    gains: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Fit one block.

    Args:
        old: trained block.
        new: block to fill.
        maps: inputs of the old and the new block.
        spacing: distance between neighbours of the old kernel on its input.
        gains: factor by which the new block's input is larger than the old one's, and that of the outputs.

    Returns:
        The outputs of the old and the new block.
    """
    old_map, new_map = maps
    gain_in, gain_out = gains
    kernel = old.dw_conv.conv.weight.numpy()
    layer = _depthwise_layer(new)
    room = layer.conv.weight.shape[-1]
    if (kernel.shape[-1] - 1) * spacing >= room:
        spacing = 1  # no room for the gaps: nearer neighbours have to do
    hidden = F.conv2d(
        old_map,
        old.dw_conv.conv.weight,
        stride=layer.conv._stride,
        padding=(kernel.shape[-1] - 1) * spacing // 2,
        dilation=spacing,
        groups=kernel.shape[0],
    )
    hidden = old.dw_conv.act(old.dw_conv.bn(hidden))
    target = old.pw_conv.bn(old.pw_conv.conv(hidden if old.se is None else old.se(hidden)))
    output = old.pw_conv.act(target)
    if isinstance(old.pw_conv.act, nn.ReLU6):
        target = target.clip(max=6.0)  # the new block's ReLU has no ceiling

    layer.conv.weight.set_value(_framed(kernel, spacing, room))
    scale, shift = _norm_map(old.dw_conv.bn)
    _set_norm(layer, layer.conv(new_map), scale / gain_in, shift)
    fitted = new.depthwise(new_map)
    if new.se is not None:
        _open(new.se)
        fitted = new.se(fitted)
    inputs, targets = _rows(fitted, target * gain_out)
    if new.split_pointwise:
        middle = new.pw_conv_1.conv.weight.shape[0]
        factor = reduced_rank(inputs, targets, middle, _STRENGTH)
        _set_pointwise(new.pw_conv_1, factor, _MIDDLE_SHIFT - (inputs @ factor).mean(axis=0), inputs)
        inputs, targets = _rows(new.pw_conv_1(fitted), target * gain_out)
        _set_pointwise(new.pw_conv_2, *ridge(inputs, targets, _STRENGTH), inputs)
    else:
        _set_pointwise(new.pw_conv, *ridge(inputs, targets, _STRENGTH), inputs)
    return output, new(new_map)


def _check_widths(old_blocks: list[DepthwiseSeparable], new_blocks: list[nn.Layer]) -> None:
    old = [block.dw_conv.conv.weight.shape[0] for block in old_blocks]
    new = [_depthwise_layer(block).conv.weight.shape[0] for block in new_blocks]
    if old != new:
        raise ValueError(f"the source's blocks have the widths {old}, the student's {new}")


def _depthwise_layer(block: nn.Layer) -> ConvBNAct:
    assert isinstance(block, RepDepthwiseSeparable)
    layer = block.dw_conv_list[0] if block.is_rep else block.dw_conv
    assert isinstance(layer, ConvBNAct)
    return layer


def _first(sizes: Any) -> int:
    return int(sizes if isinstance(sizes, int) else sizes[0])


def _framed(kernel: NDArray[np.float32], spacing: int, room: int) -> NDArray[np.float32]:
    """Set a kernel [C, 1, k, k] with gaps in the middle of a larger one of zeros."""
    framed = np.zeros((*kernel.shape[:2], room, room), np.float32)
    first = (room - (kernel.shape[-1] - 1) * spacing - 1) // 2
    places = slice(first, room - first, spacing)
    framed[:, :, places, places] = kernel
    return framed


def _norm_map(norm: nn.BatchNorm2D) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and summand [C] that a BatchNorm applies in evaluation."""
    mean, variance = norm._mean.numpy(), norm._variance.numpy()
    assert norm.weight is not None and norm.bias is not None
    scale = np.asarray(norm.weight.numpy() / np.sqrt(variance + norm._epsilon), np.float32)
    return scale, np.asarray(norm.bias.numpy() - scale * mean, np.float32)


def _set_norm(layer: ConvBNAct, outputs: Tensor, scale: NDArray[Any], shift: NDArray[Any]) -> None:
    """Make the BatchNorm map the convolution's `outputs` to outputs * scale + shift, with true statistics in it."""
    mean, variance = outputs.mean(axis=[0, 2, 3]).numpy(), outputs.var(axis=[0, 2, 3], unbiased=False).numpy()
    _set_norm_values(layer, mean, variance, scale, shift)


def _set_norm_values(
    layer: ConvBNAct, mean: NDArray[Any], variance: NDArray[Any], scale: NDArray[Any], shift: NDArray[Any]
) -> None:
    values = {
        "weight": scale * np.sqrt(variance + layer.bn._epsilon),
        "bias": shift + scale * mean,
        "_mean": mean,
        "_variance": variance,
    }
    layer.bn.set_state_dict({name: paddle.to_tensor(value.astype(np.float32)) for name, value in values.items()})


def _set_pointwise(layer: ConvBNAct, weight: Matrix, bias: Matrix, inputs: Matrix) -> None:
    """Make conv and BatchNorm together equal to inputs @ weight + bias, with true statistics in the BatchNorm."""
    layer.conv.weight.set_value(weight.T[:, :, None, None].astype(np.float32))
    outputs = inputs @ weight
    _set_norm_values(layer, outputs.mean(axis=0), outputs.var(axis=0), np.ones_like(bias), bias)


def _open(attention: SqueezeExcitation) -> None:
    attention.conv2.weight.set_value(attention.conv2.weight * 0.1)
    nn.initializer.Constant(_OPEN_GATE)(attention.conv2.bias)


def _rows(inputs: Tensor, targets: Tensor) -> tuple[Matrix, Matrix]:
    """Maps (N, C, H, W) as rows [n, C], thinned evenly where there are too many."""
    channels_last = [map_.transpose([0, 2, 3, 1]).flatten(0, 2) for map_ in (inputs, targets)]
    step = max(1, channels_last[0].shape[0] // _MAX_ROWS)
    first, second = (rows[::step].numpy().astype(np.float64) for rows in channels_last)
    return first, second
