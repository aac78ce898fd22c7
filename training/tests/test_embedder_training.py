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
from interrupted_runs import assert_same_content, break_off
from onnx import TensorProto, helper
from picoseek_training import checkpoint
from picoseek_training.distillation.config import (
    AverageTeacherConfig,
    ComparisonConfig,
    DistillationConfig,
    FileTeacherConfig,
    NetworkTeacherConfig,
    PeerTeacherConfig,
)
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


def test_an_interrupted_run_goes_on_bit_for_bit(config: EmbedderTrainingConfig, whole: EmbedderTraining) -> None:
    again = replace(config, output=config.output.parent / "interrupted")
    break_off(EmbedderTraining(again), after=5)
    assert checkpoint.load(again.output / LAST)["step"] == 4
    EmbedderTraining(again).run()
    assert_same_content(checkpoint.load(again.output / LAST), checkpoint.load(config.output / LAST))


_ITSELF = DistillationConfig(
    AverageTeacherConfig("average"), (ComparisonConfig("logits", "kl"), ComparisonConfig("features", "structure"))
)


def _distillation(kind: str, config: EmbedderTrainingConfig) -> DistillationConfig:
    if kind == "average":
        return _ITSELF
    if kind == "network":
        earlier = NetworkTeacherConfig("network", config.output / LAST)
        return DistillationConfig(earlier, (ComparisonConfig("logits", "kl"), ComparisonConfig("backbone.stem", "l2")))
    # Its features are larger than the student's: a linear map is learned, too.
    file = FileTeacherConfig("file", config.output.parent / "teacher.onnx", {"features": 0}, side=SIDE)
    return DistillationConfig(file, (ComparisonConfig("features", "cosine"),), labels=0.0)


@pytest.mark.parametrize("kind", ["average", "network", "file"])
def test_a_run_with_another_teacher_learns_from_it_and_goes_on_bit_for_bit(
    config: EmbedderTrainingConfig, whole: EmbedderTraining, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(embedder_training, "_TAIL_VIEWS", 64)
    taught = replace(
        config, output=config.output.parent / f"taught-{kind}", distillation=_distillation(kind, config), evaluation=()
    )
    run = EmbedderTraining(taught)
    run.run()
    if kind == "average":
        follower = run._distiller._teacher.model.state_dict()
        for name, value in run._ema.averaged().items():
            np.testing.assert_array_equal(follower[name].numpy(), value)
    again = replace(taught, output=config.output.parent / f"taught-{kind}-interrupted")
    break_off(EmbedderTraining(again), after=5)
    assert checkpoint.load(again.output / LAST)["step"] == 4
    EmbedderTraining(again).run()
    ended = checkpoint.load(taught.output / LAST)
    assert_same_content(checkpoint.load(again.output / LAST), ended)
    assert len(ended["distiller"]["0"]) == (2 if kind == "file" else 0)
    assert run._train_step(run._sampler.batch(0, 8, SIDE), 1e-3)["distillation"] > 0


def test_what_cannot_teach_here_is_refused(config: EmbedderTrainingConfig) -> None:
    peer = DistillationConfig(PeerTeacherConfig("peer"), (ComparisonConfig("logits", "dml"),))
    with pytest.raises(ValueError, match=r"`peer`, a second student, is for recipes of `method: recognition`"):
        replace(config, distillation=peer)


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
