"""LD, CWD and FGD against the formulas written out in NumPy, and their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle import Tensor
from picoseek_training.losses.detector_distillation import CWDLoss, FGDLoss, LDLoss, focal_masks

RNG = np.random.default_rng(3)


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def assert_gradient(loss: Callable[[Tensor], Tensor], at: np.ndarray) -> None:
    """Compare the gradient with central differences along random directions."""
    point = paddle.to_tensor(at, stop_gradient=False)
    loss(point).backward()
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=at.shape).astype(np.float32)
        step = np.float32(1e-2)
        ahead, behind = (loss(paddle.to_tensor(at + sign * step * direction)).item() for sign in (1, -1))
        slope = (ahead - behind) / (2 * step)
        assert (point.grad.numpy() * direction).sum() == pytest.approx(slope, rel=2e-2, abs=2e-4)


def test_ld_is_the_softened_divergence_of_the_sides() -> None:
    student, teacher, weight = draw(5, 32), draw(5, 32), np.abs(draw(5))
    q, p = (softmax(each.reshape(5, 4, 8) / 10.0, 2) for each in (teacher, student))
    expected = ((q * np.log(q / p)).mean(axis=2) * 100).mean(axis=1) @ weight
    taught, weights = paddle.to_tensor(teacher), paddle.to_tensor(weight)
    loss = lambda own: LDLoss()(own, taught, weights, 8)  # noqa: E731
    assert loss(paddle.to_tensor(student)).item() == pytest.approx(expected, rel=1e-4)
    assert loss(taught).item() == pytest.approx(0.0, abs=1e-4)
    assert_gradient(loss, student)


def test_cwd_is_the_divergence_of_the_channels_over_the_positions() -> None:
    student, teacher = draw(2, 3, 4, 5), draw(2, 3, 4, 5)
    q, p = (softmax(each.reshape(2, 3, 20) / 2.0, 2) for each in (teacher, student))
    expected = (q * (np.log(q + 1e-5) - np.log(p + 1e-5))).sum() * 4.0 / 6
    taught = paddle.to_tensor(teacher)
    assert CWDLoss(tau=2.0)(paddle.to_tensor(student), taught).item() == pytest.approx(expected, rel=1e-4)
    assert_gradient(lambda own: CWDLoss(tau=2.0)(own, taught), student)


def test_fgd_weighs_foreground_background_attention_and_relation() -> None:
    student, teacher = draw(2, 4, 4, 4), draw(2, 4, 4, 4)
    boxes = np.array([[[8, 8, 16, 24]], [[0, 0, 0, 0]]], np.float32)
    masks = focal_masks(boxes, np.array([[True], [False]]), (4, 4), 8.0)

    def attention(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spatial = 16 * softmax(np.abs(maps).mean(axis=1).reshape(2, 16) / 0.5, 1).reshape(2, 1, 4, 4)
        return spatial, 4 * softmax(np.abs(maps).mean(axis=(2, 3)) / 0.5, 1).reshape(2, 4, 1, 1)

    spatial, channel = attention(teacher)
    own_spatial, own_channel = attention(student)
    squares = (student - teacher) ** 2 * spatial * channel
    parts = [(squares * mask).sum() / 2 for mask in masks]
    parts.append((np.abs(own_channel - channel).sum() + np.abs(own_spatial - spatial).sum()) / 2)
    parts.append(((student - teacher) ** 2).sum() / 2)  # the context blocks add nothing at first
    loss = FGDLoss(4, foreground=0.5, background=0.4, attention=0.3, relation=0.2)
    tensors = (paddle.to_tensor(masks[0]), paddle.to_tensor(masks[1]))
    taught = paddle.to_tensor(teacher)
    expected = float(np.dot([0.5, 0.4, 0.3, 0.2], parts))
    assert loss(paddle.to_tensor(student), taught, tensors).item() == pytest.approx(expected, rel=1e-4)
    assert_gradient(lambda own: loss(own, taught, tensors), student)


def test_focal_masks_share_a_weight_of_one_among_the_cells_of_a_box() -> None:
    boxes = np.array([[[8, 8, 15, 23], [8, 8, 10, 10]]], np.float32)
    foreground, background = focal_masks(boxes, np.array([[True, True]]), (4, 4), 8.0)
    # Both ends of a box count: it covers columns 1 to 2 and rows 1 to 3, the small one columns and rows 1 to 2.
    expected = np.zeros((4, 4))
    expected[1:4, 1:3] = 1 / 6
    expected[1:3, 1:3] = 1 / 4
    np.testing.assert_allclose(foreground[0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(background[0, 0], (expected == 0) / 10, rtol=1e-6)
