"""Recognition recipes on a tiny set: published ones run, each variant goes on bit for bit, teachers teach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import paddle
import pytest
from interrupted_runs import assert_same_content, break_off
from onnx import TensorProto, helper
from picoseek_training import checkpoint
from picoseek_training.configuration import read_configuration
from picoseek_training.embedder.recipe import read_embedder_recipe
from picoseek_training.recognition.config import RecognitionTrainingConfig
from picoseek_training.recognition.model import build_model
from picoseek_training.recognition.network_config import HeadConfig, NetworkConfig
from picoseek_training.recognition.training import RecognitionTraining
from picoseek_training.run.folder import LAST, LOG

RECIPES = Path(__file__).parents[1] / "recipes"
CLASSES, SIDE = 4, 32
NETWORK = {"name": "pplcnetv2_base_shitu", "dimension": 16, "backbone": {"scale": 0.25, "depths": [1, 1, 1, 1]}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for label in range(CLASSES):
        base = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        for split, count in (("train", 5), ("test", 2)):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                noisy = np.clip(base.astype(int) + rng.integers(-20, 20, base.shape), 0, 255).astype(np.uint8)
                big = cv2.resize(noisy, (48, 40), interpolation=cv2.INTER_NEAREST)
                cv2.imwrite(str(folder / f"{index}.png"), big)
    return root


def recipe(pictures: Path, output: Path, **changes: Any) -> RecognitionTrainingConfig:
    document: dict[str, Any] = {
        "method": "recognition",
        "output": str(output),
        "sets": [f"folder:{pictures}/train"],
        "network": NETWORK,
        "losses": [
            {"kind": "cross_entropy", "smoothing": 0.1},
            {"kind": "triplet_angular_margin", "add_absolute": True, "absolute_weight": 0.1},
        ],
        "optimizer": {"rate": 0.05, "warmup_epochs": 0.4},
        "epochs": 1.2,
        "steps_per_epoch": 5,
        "batch_size": 8,
        "size": SIDE,
        "sampler": {"pictures_per_class": 2},
        "checkpoint_every": 2,
        "evaluate_every": 100,
        "workers": 2,
        **changes,
    }
    overrides = [f"{key}={json.dumps(value)}" for key, value in document.items()]
    return read_configuration(RecognitionTrainingConfig, None, overrides)


def entries(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / LOG).read_text().splitlines()]


def write_onnx_teacher(file: Path) -> None:
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


VARIANTS: dict[str, dict[str, Any]] = {
    "momentum": {},
    "adamw, arc margin, ema, memory, in order": {
        "optimizer": {"rate": 1e-3, "kind": "adamw", "warmup_epochs": 0.4, "clip_norm": 1.0},
        "network": {**NETWORK, "head": {"kind": "arc_margin", "margin": 0.2, "scale": 30.0}},
        "ema": {"decay": 0.9},
        "losses": [
            {"kind": "cross_entropy"},
            {"kind": "triplet_angular_margin_xbm", "memory_start": 1, "memory_size": 24},
        ],
        "sampler": {"kind": "shuffled"},
        "augmentation": {"fit": "random_crop", "pad": 0, "rotation": 0.0},
    },
    "peer": {
        "distillation": {
            "teacher": {"kind": "peer"},
            "compare": [
                {"layer": "logits", "kind": "dml"},
                {"layer": "backbone.stages.2", "kind": "l2"},
            ],
        },
    },
    "average": {
        "ema": {"decay": 0.9},
        "distillation": {
            "teacher": {"kind": "average"},
            "compare": [{"layer": "logits", "kind": "kl"}, {"layer": "features", "kind": "structure"}],
        },
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_interrupted_run_goes_on_bit_for_bit(pictures: Path, tmp_path: Path, variant: str) -> None:
    whole = recipe(pictures, tmp_path / "whole", **VARIANTS[variant])
    RecognitionTraining(whole).run()
    again = recipe(pictures, tmp_path / "again", **VARIANTS[variant])
    break_off(RecognitionTraining(again), after=5)
    assert checkpoint.load(tmp_path / "again" / LAST)["step"] == 4
    RecognitionTraining(again).run()
    assert_same_content(checkpoint.load(tmp_path / "again" / LAST), checkpoint.load(tmp_path / "whole" / LAST))


def test_a_recipe_learns_and_is_measured(pictures: Path, tmp_path: Path) -> None:
    task = f"folder:{pictures}/train -> folder:{pictures}/test"
    config = recipe(
        pictures, tmp_path, epochs=4, evaluation=[task], augmentation={"rotation": 0.0, "pad": 2}, log_every=1,
        optimizer={"rate": 1e-2, "kind": "adamw", "warmup_epochs": 0.2},
    )  # fmt: skip
    RecognitionTraining(config).run()
    log = entries(tmp_path)
    losses = [entry["cross_entropy"] for entry in log if "cross_entropy" in entry]
    assert len(losses) == 20 and np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    (measured,) = [entry for entry in log if entry.get("evaluation") == task]
    assert measured["step"] == 20 and measured["recall_at_1"] > 1 / CLASSES
    assert set(measured) == {"step", "evaluation", "recall_at_1", "recall_at_5", "mean_average_precision"}


@pytest.mark.parametrize(("name", "files"), [("general_recognition_v1", 7), ("general_recognition_v2", 17)])
def test_a_published_recipe_runs_with_other_data(pictures: Path, tmp_path: Path, name: str, files: int) -> None:
    published = read_embedder_recipe(RECIPES / f"{name}.yaml")
    assert isinstance(published, RecognitionTrainingConfig)
    assert len(published.sets) == files and published.epochs == 100 and published.batch_size == 256
    small = {
        "output": str(tmp_path / "run"),
        "start": None,
        "sets": [f"folder:{pictures}/train"],
        "evaluation": [f"folder:{pictures}/train -> folder:{pictures}/test"],
        "network.dimension": 16,
        "network.backbone": {"scale": 0.25},
        "size": 32,
        "batch_size": 8,
        "steps_per_epoch": 2,
        "epochs": 1,
        "sampler.emphasis": {},
    }
    overrides = [f"{key}={json.dumps(value)}" for key, value in small.items()]
    config = read_embedder_recipe(RECIPES / f"{name}.yaml", overrides)
    assert isinstance(config, RecognitionTrainingConfig)
    assert config.losses == published.losses and config.augmentation == published.augmentation
    run = RecognitionTraining(config)
    assert run.model.head is not None
    run.run()
    assert checkpoint.load(tmp_path / "run" / LAST)["step"] == 2
    assert any("mean_average_precision" in entry for entry in entries(tmp_path / "run"))


def test_an_onnx_teacher_without_labels_is_approached(pictures: Path, tmp_path: Path) -> None:
    write_onnx_teacher(tmp_path / "teacher.onnx")
    distillation = {
        "teacher": {"kind": "file", "file": str(tmp_path / "teacher.onnx"), "outputs": {"features": 0}},
        "compare": [{"layer": "features", "kind": "cosine"}],
        "labels": 0.0,
    }
    config = recipe(
        pictures, tmp_path / "run", distillation=distillation, log_every=1, augmentation={"rotation": 0.0},
        optimizer={"rate": 1e-2, "kind": "adamw", "warmup_epochs": 0.2, "weight_decay": 0.0}, epochs=6,
    )  # fmt: skip
    run = RecognitionTraining(config)
    before = run.model.head.fc.weight.numpy().copy()
    run.run()
    told = [entry["distillation"] for entry in entries(tmp_path / "run") if "distillation" in entry]
    assert np.mean(told[-5:]) < 0.9 * np.mean(told[:3])
    np.testing.assert_array_equal(run.model.head.fc.weight.numpy(), before)


def test_an_earlier_checkpoint_teaches_a_smaller_network(pictures: Path, tmp_path: Path) -> None:
    RecognitionTraining(recipe(pictures, tmp_path / "large")).run()
    distillation = {
        "teacher": {"kind": "network", "weights": str(tmp_path / "large" / LAST), "network": NETWORK},
        "compare": [
            {"layer": "logits", "kind": "dkd"},
            {"layer": "backbone.blocks5", "teacher_layer": "backbone.stages.2", "kind": "smooth_l1"},
        ],
    }
    small = {"name": "pplcnet_x0_25", "dimension": 8}
    run = RecognitionTraining(recipe(pictures, tmp_path / "small", network=small, distillation=distillation))
    assert run._distiller is not None
    taught = run._distiller._teacher.model.state_dict()
    expected = checkpoint.load(tmp_path / "large" / LAST)["model"]
    for key, value in taught.items():
        np.testing.assert_array_equal(value.numpy(), expected[key], err_msg=key)
    run.run()
    assert checkpoint.load(tmp_path / "small" / LAST)["step"] == 6
    for key, value in taught.items():
        np.testing.assert_array_equal(value.numpy(), expected[key], err_msg=key)


def test_a_paddle_teacher_answers_as_the_network_it_was_made_of(pictures: Path, tmp_path: Path) -> None:
    from picoseek_bundle import InputSpec
    from picoseek_training.distillation.config import FileTeacherConfig
    from picoseek_training.distillation.teachers import FileTeacher
    from picoseek_training.embedder.export import export_inference
    from picoseek_training.recognition.model import RecEmbedder

    embedder = RecEmbedder(build_model(NetworkConfig(**NETWORK), None))
    embedder.eval()
    images = paddle.randn([2, 3, SIDE, SIDE])
    expected = embedder(images).numpy()
    program, _ = export_inference(embedder, InputSpec(width=SIDE, height=SIDE), tmp_path)
    teacher = FileTeacher(FileTeacherConfig("file", program, {"features": 0}))
    for views in (images, paddle.repeat_interleave(paddle.repeat_interleave(images, 2, axis=2), 2, axis=3)):
        answers = teacher(views, paddle.zeros([2]))
        np.testing.assert_allclose(answers["features"].numpy(), expected, atol=1e-4)


def test_a_side_that_a_teacher_does_not_take_is_named(tmp_path: Path) -> None:
    from picoseek_training.distillation.config import FileTeacherConfig
    from picoseek_training.distillation.teachers import FileTeacher

    write_onnx_teacher(tmp_path / "teacher.onnx")
    with pytest.raises(ValueError, match=rf"distillation\.teacher\.side: .*teacher\.onnx takes .* {SIDE} x {SIDE} "):
        FileTeacher(FileTeacherConfig("file", tmp_path / "teacher.onnx", {"features": 0}, 2 * SIDE))


def test_a_start_fills_what_fits(pictures: Path, tmp_path: Path) -> None:
    RecognitionTraining(recipe(pictures, tmp_path / "first")).run()
    first = checkpoint.load(tmp_path / "first" / LAST)["averaged"]
    run = RecognitionTraining(recipe(pictures, tmp_path / "second", start=str(tmp_path / "first" / LAST)))
    for key, value in first.items():
        np.testing.assert_array_equal(run.model.state_dict()[key].numpy(), value, err_msg=key)


def test_a_finished_run_says_so_and_goes_on_when_it_is_prolonged(pictures: Path, tmp_path: Path) -> None:
    RecognitionTraining(recipe(pictures, tmp_path)).run()
    finished = checkpoint.load(tmp_path / LAST)
    RecognitionTraining(recipe(pictures, tmp_path)).run()
    assert entries(tmp_path)[-1] == {"complete": 6}
    assert_same_content(checkpoint.load(tmp_path / LAST), finished)
    RecognitionTraining(recipe(pictures, tmp_path, epochs=1.6)).run()
    assert checkpoint.load(tmp_path / LAST)["step"] == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": ["folder:nowhere"]}, "nowhere does not exist"),
        ({"batch_size": 7}, r"sampler\.pictures_per_class: 2 does not divide the batch of 7"),
        ({"batch_size": 64}, "a batch takes 32 classes, the pictures have 4"),
        ({"losses": []}, "losses: name at least one"),
        ({"network": {"name": "picodet_xs"}}, r"network\.name: picodet_xs is no recognition model"),
        ({"network": {"name": "pplcnet_x9"}}, r"network\.name: unknown network 'pplcnet_x9'"),
        ({"network": {**NETWORK, "backbone": {"width": 2}}}, r"network\.backbone\.width"),
        ({"network": {**NETWORK, "head": {"kind": "fc", "margin": 1}}}, r"network\.head\.margin"),
        ({"start": "nowhere.pdparams"}, r"start: nowhere\.pdparams does not exist"),
        ({"precision": "bfloat16"}, "precision: bfloat16 needs a GPU"),
        ({"sampler": {"pictures_per_class": 2, "emphasis": {"other": 2.0}}}, r"sampler\.emphasis: other"),
        (
            {"distillation": {"teacher": {"kind": "average"}, "compare": [{"layer": "logits", "kind": "kl"}]}},
            "add `ema: {}`",
        ),
        (
            {"distillation": {"teacher": {"kind": "peer"}, "compare": [{"layer": "backbone.stage", "kind": "l2"}]}},
            r"distillation\.compare\.layer: the network has no layer 'backbone\.stage'; it has .*backbone\.stages",
        ),
        (
            {"distillation": {"teacher": {"kind": "peer"}, "compare": [{"layer": "features", "teacher_layer": "logits",
                                                                        "kind": "kl"}]}},
            r"distillation\.compare: kl compares logits of the same classes",
        ),
        (
            {"distillation": {"teacher": {"kind": "file", "file": "t.onnx"}, "compare": [{"layer": "logits",
                                                                                          "kind": "kl"}]}},
            r"distillation\.teacher\.file: t\.onnx does not exist",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_before_anything_is_trained(
    pictures: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        RecognitionTraining(recipe(pictures, tmp_path, **changes))
    assert not (tmp_path / LAST).exists()


def test_an_empty_class_and_a_lost_picture_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "train/a/1.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"train/b is a class without pictures"):
        RecognitionTraining(recipe(tmp_path, tmp_path / "run"))
    (tmp_path / "list.txt").write_text("train/a/1.png a\ntrain/b/lost.png b\n")
    with pytest.raises(FileNotFoundError, match=r"train/b/lost\.png does not exist"):
        RecognitionTraining(recipe(tmp_path, tmp_path / "run", sets=[f"labels:{tmp_path}/list.txt"]))


def test_another_recipe_in_an_old_folder_is_refused(pictures: Path, tmp_path: Path) -> None:
    RecognitionTraining(recipe(pictures, tmp_path)).run()
    changed = recipe(pictures, tmp_path, optimizer={"rate": 0.01, "warmup_epochs": 0.4}, seed=3)
    with pytest.raises(
        ValueError, match=r"another recipe: optimizer\.rate was 0\.05 and is 0\.01; seed was 0 and is 3"
    ):
        RecognitionTraining(changed)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RecognitionTraining(recipe(pictures, tmp_path))
    draw = run._batches.batch

    def broken(step: int) -> Any:
        batch = draw(step)
        return replace(batch, images=batch.images * np.float32("nan")) if step == 3 else batch

    monkeypatch.setattr(run._batches, "batch", broken)
    with pytest.raises(
        FloatingPointError,
        match=r"(the loss is nan|a gradient is not finite) at step 3, pictures .*train/class\d/\d\.png",
    ):
        run.run()
    kept = checkpoint.load(tmp_path / LAST)
    assert kept["step"] == 2 and all(np.isfinite(value).all() for value in kept["model"].values())


def test_heads_of_every_kind_can_be_asked_for() -> None:
    for kind in ("fc", "arc_margin", "cos_margin", "circle_margin"):
        network = NetworkConfig("pplcnet_x0_25", 8, head=HeadConfig(kind))  # type: ignore[arg-type]
        model = build_model(network, 3)
        model.train()
        output = model(paddle.randn([2, 3, 32, 32]), paddle.to_tensor([0, 2]))
        assert output.logits.shape == [2, 3] and output.features.shape == [2, 8]
