"""Losses between a detector and its teacher: localisation, channels and focal features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant

_CWD_EPSILON = 1e-5


@dataclass(frozen=True)
class LDLoss:
    """Localisation distillation (arXiv:2102.12252): the teacher's distributions of the sides' distances are learned.

    KL divergence at a temperature, averaged over the bins, times the squared temperature.
    """

    temperature: float = 10.0

    def __call__(self, student: Tensor, teacher: Tensor, weight: Tensor, bins: int) -> Tensor:
        """Compare logits [n, 4 * bins] of n cells with weights [n]; the sum over cells of the mean over sides."""
        log_p = F.log_softmax(student.reshape([-1, bins]) / self.temperature, axis=1)
        q = F.softmax(teacher.reshape([-1, bins]) / self.temperature, axis=1)
        sides = F.kl_div(log_p, q, reduction="none").mean(axis=1) * self.temperature**2
        return (sides.reshape([-1, 4]).mean(axis=1) * weight).sum()


@dataclass(frozen=True)
class CWDLoss:
    """Channel-wise distillation (arXiv:2011.13256): where each channel looks, as a distribution over the positions."""

    tau: float = 1.0
    """Temperature of the distributions."""

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare maps [N, C, h, w]; the mean over pictures and channels."""
        count, channels = student.shape[:2]
        p, q = (F.softmax(maps.reshape([count * channels, -1]) / self.tau, axis=1) for maps in (student, teacher))
        divergence = q * (paddle.log(q + _CWD_EPSILON) - paddle.log(p + _CWD_EPSILON))
        return divergence.sum() * self.tau**2 / (count * channels)


class FGDLoss(nn.Layer):
    """Focal and global distillation (arXiv:2111.11837) of one level of a neck.

    Foreground and background of the maps are compared apart, weighted by the teacher's attention; so is the attention
    itself, and the maps' global context, which a block on each side learns to sum up.
    """

    def __init__(
        self,
        channels: int,
        temperature: float = 0.5,
        foreground: float = 1e-3,
        background: float = 5e-4,
        attention: float = 1e-3,
        relation: float = 5e-6,
    ) -> None:
        super().__init__()
        self._temperature = temperature
        self._weights = (foreground, background, attention, relation)
        self.student_context = GlobalContext(channels)
        self.teacher_context = GlobalContext(channels)

    def forward(self, student: Tensor, teacher: Tensor, masks: tuple[Tensor, Tensor]) -> Tensor:
        """Compare maps [N, C, h, w] with foreground and background masks [N, 1, h, w], see `focal_masks`."""
        count = student.shape[0]
        spatial, channel = self._attention(teacher)
        own_spatial, own_channel = self._attention(student)
        squares = (student - teacher).square() * spatial * channel
        foreground, background = ((squares * mask).sum() / count for mask in masks)
        attention = ((own_spatial - spatial).abs().sum() + (own_channel - channel).abs().sum()) / count
        relation = (self.student_context(student) - self.teacher_context(teacher)).square().sum() / count
        parts = (foreground, background, attention, relation)
        return sum((weight * part for weight, part in zip(self._weights, parts, strict=True)), paddle.zeros([]))

    def _attention(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Spatial [N, 1, h, w] and channel attention [N, C, 1, 1]; their means are 1."""
        count, channels, height, width = maps.shape
        size = maps.abs()
        over_positions = F.softmax(size.mean(axis=1).reshape([count, -1]) / self._temperature, axis=1)
        over_channels = F.softmax(size.mean(axis=[2, 3]) / self._temperature, axis=1)
        spatial = (height * width * over_positions).reshape([count, 1, height, width])
        return spatial, (channels * over_channels).reshape([count, channels, 1, 1])


class GlobalContext(nn.Layer):
    """Adds to every position what the whole map says (GCNet, arXiv:1904.11492); it starts by adding nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = nn.Conv2D(channels, 1, 1)
        self.narrow = nn.Conv2D(channels, channels // 2, 1)
        self.norm = nn.LayerNorm([channels // 2, 1, 1])
        zero = paddle.ParamAttr(initializer=Constant(0.0))
        self.widen = nn.Conv2D(channels // 2, channels, 1, weight_attr=zero, bias_attr=zero)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape [N, C, h, w]."""
        count, channels = maps.shape[:2]
        share = F.softmax(self.mask(maps).reshape([count, 1, -1]), axis=2)
        context = (maps.reshape([count, channels, -1]) * share).sum(axis=2).reshape([count, channels, 1, 1])
        return maps + self.widen(F.relu(self.norm(self.narrow(context))))


def focal_masks(
    boxes: NDArray[np.float32], valid: NDArray[np.bool_], size: tuple[int, int], stride: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the foreground and background masks [N, 1, h, w] of `FGDLoss`.

    A cell of a box weighs one over the box's cells, the most where boxes overlap; a cell of none weighs one over the
    cells of none.

    Args:
        boxes: [N, n, 4] in input pixels.
        valid: [N, n]; False marks padding.
        size: Height h and width w of the maps.
        stride: Input pixels between cells.
    """
    height, width = size
    foreground = np.zeros((len(boxes), 1, height, width), np.float32)
    for mask, own, known in zip(foreground[:, 0], boxes, valid, strict=True):
        for x1, y1, x2, y2 in own[known] / stride:
            left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
            right, bottom = min(int(np.ceil(x2)), width - 1), min(int(np.ceil(y2)), height - 1)
            if right < left or bottom < top:
                continue
            inside = mask[top : bottom + 1, left : right + 1]
            np.maximum(inside, 1.0 / ((bottom - top + 1) * (right - left + 1)), out=inside)
    outside = (foreground == 0).astype(np.float32)
    return foreground, outside / np.maximum(outside.sum(axis=(2, 3), keepdims=True), 1.0)
