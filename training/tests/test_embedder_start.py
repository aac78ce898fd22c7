"""The start of PP-LCNetV2 from MobileNetV1: what can be exact is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle import nn
from paddle.nn import functional as F
from picoseek_training.embedder.config import StartConfig, StudentConfig
from picoseek_training.embedder.separable_start import SeparableSource, _framed, fit_tail, start_from_separable
from picoseek_training.embedder.start import start_student
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.whitening import pooled_features
from picoseek_training.networks.mobilenet_v1 import MobileNetV1

SCALE = 0.25


def _pictures(count: int = 12, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.normal(size=(count, 3, side // 8, side // 8))
    return np.kron(coarse, np.ones((8, 8))).astype(np.float32)


def _source() -> MobileNetV1:
    paddle.seed(4)
    network = MobileNetV1(SCALE)
    network.train()
    network(paddle.to_tensor(_pictures()))
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer.weight.set_value(layer.weight * 0.3)  # below the ceiling of ReLU6, which the student has not
    network(paddle.to_tensor(_pictures()))
    network.eval()
    return network


@pytest.fixture(scope="module")
def started() -> tuple[MobileNetV1, Embedder]:
    source = _source()
    student = Embedder(StudentConfig(scale=SCALE, dimension=32))
    start_from_separable(student.backbone, SeparableSource(source.conv1, source.separable_blocks), _pictures())
    return source, student


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_the_undivided_stages_give_the_maps_of_the_source(
    started: tuple[MobileNetV1, Embedder], training: bool
) -> None:
    source, student = started
    expected = source.conv1(paddle.to_tensor(_pictures()))
    for block in source.separable_blocks[:5]:
        expected = block(expected)
    student.train() if training else student.eval()
    state = {key: value.clone() for key, value in student.state_dict().items()}
    maps = student.backbone.stage_maps(paddle.to_tensor(_pictures()))[1]
    student.set_state_dict(state)
    scale = float(expected.abs().max())
    np.testing.assert_allclose(maps.numpy(), expected.numpy(), atol=0.02 * scale)


def test_the_normalisation_of_the_source_goes_into_the_stem() -> None:
    source = _source()
    student = Embedder(StudentConfig(scale=SCALE, dimension=32))
    scale, shift = (0.5, 2.0, 1.5), (0.1, -0.2, 0.3)
    start_from_separable(
        student.backbone, SeparableSource(source.conv1, source.separable_blocks, scale, shift), _pictures()
    )
    student.eval()
    changed = _pictures() * np.array(scale, np.float32)[:, None, None] + np.array(shift, np.float32)[:, None, None]
    expected = source.conv1(paddle.to_tensor(changed)).numpy()
    # At the border the student pads with its own zero, another grey than the source's.
    actual = student.backbone.stem[0](paddle.to_tensor(_pictures())).numpy()
    np.testing.assert_allclose(actual[:, :, 1:, 1:], expected[:, :, 1:, 1:], atol=1e-4)


@given(spacing=st.integers(1, 2), seed=st.integers(0, 100))
def test_a_kernel_with_gaps_stands_in_a_larger_kernel_exactly(spacing: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
    maps = paddle.to_tensor(rng.normal(size=(1, 4, 9, 9)).astype(np.float32))
    dilated = F.conv2d(maps, paddle.to_tensor(kernel), padding=spacing, dilation=spacing, groups=4)
    framed = F.conv2d(maps, paddle.to_tensor(_framed(kernel, spacing, 5)), padding=2, groups=4)
    np.testing.assert_allclose(framed.numpy(), dilated.numpy(), atol=1e-5)


def test_the_shortcut_adds_little_at_the_start(started: tuple[MobileNetV1, Embedder]) -> None:
    _, student = started
    student.eval()
    last = list(student.backbone.stages[-1].children())
    below = last[0](student.backbone.stage_maps(paddle.to_tensor(_pictures()))[2])
    assert last[1].has_shortcut
    assert float(below.abs().mean()) < 0.25 * float(last[1](below).abs().mean())


def test_other_widths_are_refused() -> None:
    source = _source()
    student = Embedder(StudentConfig(scale=0.5, dimension=32))
    with pytest.raises(ValueError, match="widths"):
        start_from_separable(student.backbone, SeparableSource(source.conv1, source.separable_blocks), _pictures())


def test_missing_weights_are_named(tmp_path: Path) -> None:
    student = Embedder(StudentConfig(scale=SCALE, dimension=32))
    with pytest.raises(FileNotFoundError, match=r"absent\.pb"):
        start_student(student, SCALE, StartConfig("mobilenet_v1", tmp_path / "absent.pb"), _pictures())


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_the_tail_answers_with_the_centred_targets(training: bool) -> None:
    paddle.seed(6)
    student = Embedder(StudentConfig(scale=SCALE, dimension=8))
    rng = np.random.default_rng(7)
    pictures = _pictures(64, 32)
    pooled = pooled_features(student, pictures).astype(np.float64)
    targets = rng.normal(size=(64, 8)) + 3.0
    fit_tail(student, pooled, targets)
    student.train() if training else student.eval()
    tail = student.neck(student.backbone.tail(paddle.to_tensor(pooled[:, :, None, None].astype(np.float32)))).numpy()
    np.testing.assert_allclose(tail.mean(axis=0), 0.0, atol=1e-3)
    centred = targets - targets.mean(axis=0)
    assert float(np.mean((tail - centred) ** 2)) < float(np.mean(centred**2))
