"""Start of PP-LCNetV2 (scale 0.5, base depths) from official PP-LCNet x1.0 weights.

The two networks have the same widths and depths but different activations, attention and pointwise splits. Depthwise
kernels and their BatchNorm scales are copied; every pointwise convolution is fitted by least squares, block after
block, so that the new block fed with the new network's maps gives the old block's outputs. Statistics are those of the
given pictures.
"""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from picoseek_training.embedder.regression import Matrix, reduced_rank, ridge
from picoseek_training.networks.layers import ConvBNAct, SqueezeExcitation
from picoseek_training.networks.pp_lcnet import DepthwiseSeparable, PPLCNet
from picoseek_training.networks.pp_lcnetv2 import PPLCNetV2, RepDepthwiseSeparable

_STRENGTH = 1e-3
_MAX_ROWS = 40_000
# Middle of a split pointwise pair: mean 1.5 standard deviations above zero, so that its ReLU passes most of it.
_MIDDLE_SHIFT = 1.5
# Attention that the old network lacks starts nearly open: sigmoid(3) = .95.
_OPEN_GATE = 3.0


@paddle.no_grad()
def start_from_lcnet(student: PPLCNetV2, source: PPLCNet, pictures: NDArray[np.float32]) -> None:
    """Fill the stem and the stages of `student`, in place.

    Args:
        student: built with `branches="largest"`.
        source: loaded with the official weights.
        pictures: [N, 3, H, W] normalised calibration pictures, some hundreds at the size of the training.

    Raises:
        ValueError: the networks do not have the same number of blocks or the same widths.
    """
    student.eval()
    source.eval()
    old_blocks = [block for name in source.stage_channels for block in getattr(source, name)]
    new_blocks = [student.stem[1], *(block for stage in _children(student.stages) for block in _children(stage))]
    if len(old_blocks) != len(new_blocks):
        raise ValueError(f"the source has {len(old_blocks)} blocks, the student {len(new_blocks)}")
    batch = paddle.to_tensor(pictures)
    old_map = source.conv1(batch)
    stem = student.stem[0]
    assert isinstance(stem, ConvBNAct)
    _copy_conv_bn(source.conv1, stem, batch)
    new_map = stem(batch)
    for old, new in zip(old_blocks, new_blocks, strict=True):
        assert isinstance(new, RepDepthwiseSeparable)
        old_map, new_map = _fit_block(old, new, old_map, new_map)


def _fit_block(
    old: DepthwiseSeparable, new: RepDepthwiseSeparable, old_map: Tensor, new_map: Tensor
) -> tuple[Tensor, Tensor]:
    depthwise = new.dw_conv_list[0] if new.is_rep else new.dw_conv
    assert isinstance(depthwise, ConvBNAct)
    # The ShiTu variant keeps the resolution where the original halves it.
    old.dw_conv.conv._stride = depthwise.conv._stride
    old_hidden = old.dw_conv(old_map) if old.se is None else old.se(old.dw_conv(old_map))
    target = old.pw_conv.bn(old.pw_conv.conv(old_hidden))
    _copy_conv_bn(old.dw_conv, depthwise, new_map)
    hidden = new.depthwise(new_map)
    if new.se is not None:
        _open(new.se)
        hidden = new.se(hidden)
    inputs, targets = _rows(hidden, target)
    if new.split_pointwise:
        middle = new.pw_conv_1.conv.weight.shape[0]
        factor = reduced_rank(inputs, targets, middle, _STRENGTH)
        _set_pointwise(new.pw_conv_1, factor, _MIDDLE_SHIFT - (inputs @ factor).mean(axis=0), inputs)
        hidden = new.pw_conv_1(hidden)
        inputs, targets = _rows(hidden, target)
        _set_pointwise(new.pw_conv_2, *ridge(inputs, targets, _STRENGTH), inputs)
    else:
        _set_pointwise(new.pw_conv, *ridge(inputs, targets, _STRENGTH), inputs)
    return old.pw_conv.act(target), new(new_map)


def _copy_conv_bn(old: ConvBNAct, new: ConvBNAct, inputs: Tensor) -> None:
    """Copy the kernel (a smaller one is framed with zeros), scale and shift; measure the statistics on `inputs`."""
    kernel = old.conv.weight.numpy()
    margin = (new.conv.weight.shape[-1] - kernel.shape[-1]) // 2
    new.conv.weight.set_value(np.pad(kernel, ((0, 0), (0, 0), (margin, margin), (margin, margin))))
    outputs = new.conv(inputs)
    new.bn.set_state_dict(
        {
            **old.bn.state_dict(),
            "_mean": outputs.mean(axis=[0, 2, 3]),
            "_variance": outputs.var(axis=[0, 2, 3], unbiased=False),
        }
    )


def _set_pointwise(layer: ConvBNAct, weight: Matrix, bias: Matrix, inputs: Matrix) -> None:
    """Make conv and BatchNorm together equal to inputs @ weight + bias, with true statistics in the BatchNorm."""
    outputs = inputs @ weight
    mean, variance = outputs.mean(axis=0), outputs.var(axis=0)
    layer.conv.weight.set_value(weight.T[:, :, None, None].astype(np.float32))
    values = {
        "weight": np.sqrt(variance + layer.bn._epsilon),
        "bias": bias + mean,
        "_mean": mean,
        "_variance": variance,
    }
    layer.bn.set_state_dict({name: paddle.to_tensor(value.astype(np.float32)) for name, value in values.items()})


def _children(layer: nn.Layer) -> list[nn.Layer]:
    return list(layer.children())


def _open(attention: SqueezeExcitation) -> None:
    attention.conv2.weight.set_value(attention.conv2.weight * 0.1)
    nn.initializer.Constant(_OPEN_GATE)(attention.conv2.bias)


def _rows(inputs: Tensor, targets: Tensor) -> tuple[Matrix, Matrix]:
    """Maps (N, C, H, W) as rows [n, C], thinned evenly where there are too many."""
    channels_last = [map_.transpose([0, 2, 3, 1]).flatten(0, 2) for map_ in (inputs, targets)]
    step = max(1, channels_last[0].shape[0] // _MAX_ROWS)
    first, second = (rows[::step].numpy().astype(np.float64) for rows in channels_last)
    return first, second
