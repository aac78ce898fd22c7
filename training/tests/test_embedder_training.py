"""A whole run on a tiny set: it learns, and an interrupted one goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto, helper
from picoseek_training import checkpoint
from picoseek_training.distillation.linear_neck import LinearNeckConfig
from picoseek_training.distillation.teacher_features import TeacherConfig
from picoseek_training.embedder import training as embedder_training
from picoseek_training.embedder.config import (
    EmbedderTrainingConfig,
    PhaseConfig,
    StartConfig,
    StudentConfig,
    load_config,
)
from picoseek_training.embedder.training import EmbedderTraining
from picoseek_training.networks.mobilenet_v1 import MobileNetV1
from picoseek_training.run.folder import LAST

SCALE, SIDE, STEPS = 0.25, 32, 6


def _write_coins(root: Path) -> None:
    rng = np.random.default_rng(9)
    for split, count in (("train", 6), ("test", 2)):
        for label in range(3):
            folder = root / "coins" / split / f"class{label}"
            folder.mkdir(parents=True)
            base = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            for index in range(count):
                noisy = np.clip(base.astype(int) + rng.integers(-20, 20, base.shape), 0, 255).astype(np.uint8)
                big = cv2.resize(noisy, (64, 64), interpolation=cv2.INTER_NEAREST)
                cv2.imwrite(str(folder / f"{index}.png"), big)


def _write_teacher(file: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["x"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Flatten", ["coarse"], ["features"]),
        ],
        "coarse",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3 * (SIDE // 8) ** 2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory, mobilenet_graph: Callable[[MobileNetV1], bytes]
) -> EmbedderTrainingConfig:
    root = tmp_path_factory.mktemp("embedder")
    _write_coins(root / "data")
    _write_teacher(root / "teacher.onnx")
    paddle.seed(2)
    source = MobileNetV1(SCALE)
    source.train()
    source(paddle.randn([8, 3, SIDE, SIDE]))
    (root / "start.pb").write_bytes(mobilenet_graph(source))
    return EmbedderTrainingConfig(
        output=root / "whole",
        cache=root / "cache",
        data=root / "data",
        start=StartConfig("mobilenet_v1", root / "start.pb", pictures=8),
        teachers=(TeacherConfig(root / "teacher.onnx", output=0, side=SIDE),),
        sets=("coins",),
        phases=(PhaseConfig(SIDE, STEPS, 1e-3, batch_size=8, warmup_steps=2), PhaseConfig(SIDE, 2, 1e-4, 8, 1)),
        views=2,
        student=StudentConfig(scale=SCALE, dimension=16),
        neck=LinearNeckConfig(dimension=16, epochs=2, batch=8),
        frozen_stages=1,
        evaluation=("coins_train_to_test",),
        checkpoint_every=2,
        evaluate_every=100,
    )


@pytest.fixture(scope="module")
def whole(config: EmbedderTrainingConfig) -> EmbedderTraining:
    run = EmbedderTraining(config)
    run.run()
    return run


def _assert_same(left: object, right: object) -> None:
    if isinstance(left, dict):
        assert isinstance(right, dict) and left.keys() == right.keys()
        for key in left:
            _assert_same(left[key], right[key])
    elif isinstance(left, np.ndarray):
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def test_an_interrupted_run_goes_on_bit_for_bit(
    config: EmbedderTrainingConfig, whole: EmbedderTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(config, output=config.output.parent / "interrupted")
    run = EmbedderTraining(again)
    step = run._train_step
    done = 0

    def stop_after_five(*arguments: object) -> dict[str, object]:
        nonlocal done
        if done == 5:
            raise KeyboardInterrupt
        done += 1
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_train_step", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert checkpoint.load(again.output / LAST)["step"] == 4
    EmbedderTraining(again).run()
    _assert_same(checkpoint.load(again.output / LAST), checkpoint.load(config.output / LAST))


def test_frozen_stages_stay_as_they_started_and_the_others_move(
    config: EmbedderTrainingConfig, whole: EmbedderTraining
) -> None:
    started = EmbedderTraining(replace(config, output=config.output.parent / "started")).embedder.state_dict()
    trained = whole.embedder.state_dict()
    moved = {key for key in started if not np.array_equal(started[key].numpy(), trained[key].numpy())}
    assert not [key for key in moved if key.startswith(("backbone.stem.", "backbone.stages.0."))]
    assert [key for key in moved if key.startswith("backbone.stages.1.")]


def test_the_loss_falls(config: EmbedderTrainingConfig) -> None:
    run = EmbedderTraining(replace(config, output=config.output.parent / "falling"))
    batch = run._sampler.batch(0, 16, SIDE)
    losses = [run._train_step(batch, 1e-3)["target"] for _ in range(8)]
    assert losses[-1] < losses[0]


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    config: EmbedderTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(config, output=config.output.parent / "not-finite")
    run = EmbedderTraining(again)
    sample = run._sampler.batch

    def broken(step: int, size: int, side: int, part: slice) -> embedder_training.Batch:
        batch = sample(step, size, side, part)
        return replace(batch, targets=batch.targets * np.float32("nan")) if step == 3 else batch

    monkeypatch.setattr(run._sampler, "batch", broken)
    with pytest.raises(FloatingPointError, match=r"step 3 of phase 0, pictures .*lower the learning rate"):
        run.run()
    assert checkpoint.load(again.output / LAST)["step"] == 2


def test_configuration_errors_name_the_key(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("output: a\ncache: b\ndata: c\nstart: {network: resnet, weights: d}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"start\.network"):
        load_config(file)
