"""Features of fixed teachers: right, kept on disk, and taken up where an interruption left them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import picoseek_training.distillation.teacher_features as teacher_features
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from picoseek_training.data.views import ViewConfig, draw_view, render_view
from picoseek_training.distillation.teacher_features import (
    FixedTeacher,
    TeacherConfig,
    joined_teacher_features,
    teacher_view_features,
    view_seed,
)

SIDE, COUNT, VIEWS = 16, 70, 2


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    """A network whose features are the mean of each channel."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["N", 3])],
    )
    file = tmp_path_factory.mktemp("teacher") / "mean.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
    return TeacherConfig(file, output=0, side=SIDE, mean=100.0, std=10.0)


@pytest.fixture(scope="module")
def store() -> NDArray[np.uint8]:
    return np.random.default_rng(8).integers(0, 256, (COUNT, 24, 24, 3), dtype=np.uint8)


def _ignore(done: int, total: int) -> None:
    assert 0 < done <= total


def test_features_are_those_of_the_views(teacher: TeacherConfig, store: NDArray[np.uint8], tmp_path: Path) -> None:
    config = ViewConfig()
    features = teacher_view_features(teacher, store, config, 1, VIEWS, tmp_path, _ignore)
    assert features.shape == (VIEWS, COUNT, 3)
    view = render_view(store[7], draw_view(config, view_seed(1, 7, 1)), SIDE).astype(np.float32)
    np.testing.assert_allclose(features[1, 7], ((view - 100) / 10).mean(axis=(0, 1)), atol=0.02)


def test_an_interrupted_call_goes_on(
    teacher: TeacherConfig, store: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = teacher_view_features(teacher, store, ViewConfig(), 1, VIEWS, tmp_path / "whole", _ignore)
    calls: list[int] = []

    def stop_in_the_second_view(done: int, _total: int) -> None:
        calls.append(done)
        if done > COUNT:
            raise KeyboardInterrupt

    folder = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        teacher_view_features(teacher, store, ViewConfig(), 1, VIEWS, folder, stop_in_the_second_view)
    assert calls[-1] < VIEWS * COUNT
    resumed = teacher_view_features(teacher, store, ViewConfig(), 1, VIEWS, folder, _ignore)
    np.testing.assert_array_equal(resumed, whole)

    def never(_config: TeacherConfig) -> FixedTeacher:
        raise AssertionError("everything is on disk")

    monkeypatch.setattr(teacher_features, "FixedTeacher", never)
    again = teacher_view_features(teacher, store, ViewConfig(), 1, VIEWS, folder, _ignore)
    np.testing.assert_array_equal(again, whole)


def test_other_pictures_are_computed_anew(teacher: TeacherConfig, store: NDArray[np.uint8], tmp_path: Path) -> None:
    first = teacher_view_features(teacher, store, ViewConfig(), 1, 1, tmp_path, _ignore)
    second = teacher_view_features(teacher, 255 - store, ViewConfig(), 1, 1, tmp_path, _ignore)
    assert not np.allclose(first, second)


def test_several_teachers_stand_side_by_side_at_unit_norm(
    teacher: TeacherConfig, store: NDArray[np.uint8], tmp_path: Path
) -> None:
    other = TeacherConfig(teacher.model, output=0, side=SIDE, mean=0.0, std=1.0)
    joined = joined_teacher_features((teacher, other), store, ViewConfig(), 1, VIEWS, tmp_path, _ignore)
    assert joined.shape == (VIEWS, COUNT, 6)
    for part in (joined[..., :3], joined[..., 3:]):
        np.testing.assert_allclose(np.linalg.norm(part.astype(np.float32), axis=-1), 1.0, atol=2e-3)


def test_a_missing_teacher_and_a_missing_output_are_named(teacher: TeacherConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        FixedTeacher(TeacherConfig(tmp_path / "absent.onnx"))
    with pytest.raises(ValueError, match="has 1 outputs"):
        FixedTeacher(TeacherConfig(teacher.model, output=1))
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"graph\.pb"):
        FixedTeacher(TeacherConfig(graph, output="features:0"))


TWO_TEACHERS_COME_AND_GO = """
import gc, signal, sys
from pathlib import Path
from picoseek_training.distillation.teacher_features import FixedTeacher, TeacherConfig

config = TeacherConfig(Path(sys.argv[1]), output=0, side=16)
first, second = FixedTeacher(config), FixedTeacher(config)
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_are_handled_after_teachers_are_gone(teacher: TeacherConfig) -> None:
    command = [sys.executable, "-c", TWO_TEACHERS_COME_AND_GO, str(teacher.model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
