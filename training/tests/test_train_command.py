"""`picoseek-train` as a user meets it."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import onnx
import paddle
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import TensorProto, helper
from picoseek_bundle import load_bundle
from picoseek_training import checkpoint
from picoseek_training.cli import main
from picoseek_training.cli.friendly_group import FriendlyGroup
from picoseek_training.cli.running import shown_run
from picoseek_training.configuration import read_configuration
from picoseek_training.data.convert.config import ConvertConfig
from picoseek_training.data.own_sets import is_own_set
from picoseek_training.detector import preparation
from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.targets import PictureTargets
from picoseek_training.detector.weights import state_of
from picoseek_training.embedder.config import EmbedderTrainingConfig
from picoseek_training.embedder.recipe import read_embedder_recipe
from picoseek_training.networks.mobilenet_v1 import MobileNetV1
from picoseek_training.networks.registry import create
from picoseek_training.optimization.ema import EmaConfig

SCALE, SIDE = 0.25, 32
RECIPES = Path(__file__).parents[1] / "recipes"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_NEAREST))


def _folder(root: Path, first_seed: int = 0, count: int = 3) -> Path:
    for label in range(3):
        for number in range(count):
            _picture(root / f"class{label}" / f"{number}.png", first_seed + 10 * label + number)
    return root


def _yaml(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def test_every_command_explains_itself() -> None:
    commands = [[name] for name in main.commands]
    commands += [["eval", "detector"], ["eval", "embedder"], ["eval", "model-card"], ["export", "detector"]]
    for command in [[], *commands, ["export", "embedder"], ["distill", "embedder"], ["distill", "detector"]]:
        assert _run(*command, "--help").exit_code == 0, command


def test_check_data_ends_with_1_only_on_errors(tmp_path: Path) -> None:
    train = _folder(tmp_path / "train")
    good = _run("check-data", train)
    assert good.exit_code == 0 and good.stdout.splitlines()[-1] == "nothing is wrong"
    (train / "class0/0.png").write_bytes(b"no picture")
    bad = _run("check-data", train, "--json")
    assert bad.exit_code == 1
    (finding,) = json.loads(bad.stdout)["findings"]
    assert finding["kind"] == "broken-picture" and finding["what"].endswith("class0/0.png")


def test_check_data_takes_sets_as_recipes_name_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "train")
    assert _run("check-data", f"folder:{folder}").exit_code == 0
    lines = [f"{path.relative_to(folder)} {path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    assert _run("check-data", f"labels:{tmp_path / 'labels.txt'}@{folder}").exit_code == 0
    assert _run("check-data", f"labels:{tmp_path / 'labels.txt'}", "--images", folder).exit_code == 0
    lost = _run("check-data", "folder:nowhere")
    assert lost.exit_code != 0 and "nowhere does not exist" in lost.stderr


def test_check_data_takes_a_file_and_changes_to_it(tmp_path: Path) -> None:
    splits = [{"name": name, "source": str(_folder(tmp_path / name, seed))} for name, seed in (("a", 0), ("b", 100))]
    file = _yaml(tmp_path / "check.yaml", {"splits": splits})
    assert _run("check-data", "--config", file).exit_code == 0
    assert "tiny" in _run("check-data", "--config", file, "--set", "tiny=60").stdout
    wrong = _run("check-data", "--config", file, "--set", "tinny=60")
    assert wrong.exit_code == 1 and wrong.stderr.startswith("Error: --set: tinny: ")
    assert _run("check-data").exit_code == 2
    assert _run("check-data", tmp_path, "--config", file).exit_code == 2


def test_convert_writes_the_file_and_says_what_became_of_each_set(tmp_path: Path) -> None:
    _picture(tmp_path / "logos/Food/Nut/1.png", 1)
    (tmp_path / "logos/Food/Nut/1.xml").write_text(
        "<annotation><object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
        "</annotation>"
    )
    out = tmp_path / "out/train.json"
    source = {"name": "logos", "format": "logodet3k", "images": str(tmp_path / "logos")}
    file = _yaml(tmp_path / "convert.yaml", {"output": "unused", "sources": [source]})
    result = _run("convert", "--config", file, "--set", f"output={out}")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"logos: 1 listed, 1 written, 1 boxes\n{out}\n"
    assert _run("check-data", out).exit_code == 0
    said = _run("convert", "--config", file, "--set", f"output={out}", "--json").stdout
    assert json.loads(said)["sources"]["logos"]["written"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "stepz=3"], "--set: stepz: "),
        (["--set", "optimizer.ratte=3"], "--set: optimizer.ratte: "),
        (["--set", "steps"], "--set steps: write key=value"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    recipe = RECIPES / "detector_default.yaml"
    result = _run("detector", "--config", recipe, *arguments)
    assert result.exit_code == 1 and result.stderr.startswith(f"Error: {message}")


def test_a_missing_set_of_a_recipe_is_named(tmp_path: Path) -> None:
    recipe = RECIPES / "detector_default.yaml"
    lost = f"train=[{{name: ours, share: 1, images: {tmp_path}, annotations: {tmp_path}/lost.json}}]"
    result = _run("detector", "--config", recipe, "--set", f"output={tmp_path}", "--set", lost)
    assert result.exit_code == 1 and "lost.json" in result.stderr and "Traceback" not in result.stderr


def test_an_interrupted_training_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(config: DetectorTrainingConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "prepare", interrupted)
    result = _run("detector", "--config", RECIPES / "own_detector.yaml", "--set", f"output={tmp_path}")
    assert result.exit_code == 130 and "goes on from its last checkpoint" in result.stderr


@pytest.mark.slow
def test_a_detector_is_trained_measured_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 192, 192, 3), dtype=np.uint8)
    box = np.array([[30, 40, 120, 150]], np.float32)
    targets = [PictureTargets(box, box[:0]) for _ in pictures]
    paddle.seed(5)
    network = create("picodet_xs", num_classes=1)
    start = {"averaged": state_of(network)}
    monkeypatch.setattr(
        preparation,
        "prepare",
        lambda config: preparation.Preparation([TrainingSet("x", 1.0, pictures, targets)], network, None),
    )
    _picture(tmp_path / "images/1.png", 1)
    annotations = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 30, 30]}],
    }
    (tmp_path / "test.json").write_text(json.dumps(annotations))
    (tmp_path / "card.md").write_text("# Ours\n\n{measurements}\n")
    recipe = _yaml(
        tmp_path / "recipe.yaml",
        {
            "output": str(tmp_path / "run"),
            "teacher": {"onnx": "unused"},
            "train": [],
            "evaluation": [
                {"name": "test", "images": str(tmp_path / "images"), "annotations": str(tmp_path / "test.json")}
            ],
            "bundle": {
                "name": "ours",
                "version": "1",
                "description": "",
                "license": "Apache-2.0",
                "trained_on": ["ours"],
                "model_card": str(tmp_path / "card.md"),
            },
            "steps": 100,
            "batch_size": 1,
            "size": 192,
            "compile_depthwise": False,
            "augmentation": {"sizes": [192]},
        },
    )
    (tmp_path / "run").mkdir()
    checkpoint.save(start, tmp_path / "run/start.ckpt")
    trained = _run("detector", "--config", recipe, "--tensorboard", "--set", "steps=10")
    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == f"{tmp_path / 'run/last.ckpt'}\n"
    assert "training 10 of 10" in trained.stderr and "test ap=" in trained.stderr
    assert list((tmp_path / "run/tensorboard").iterdir())
    measured = json.loads(_run("eval", "detector", "--config", recipe, "--json").stdout)
    assert set(measured["test"]) == {"ap", "ap50", "ar", "best_box_iou50"}
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = ("--set", f"output={tmp_path / 'moved'}")
    refused = _run("export", "detector", "--config", recipe, *moved, "--out", tmp_path / "bundle")
    assert refused.exit_code == 1 and "steps was 10 and is 100" in refused.stderr
    changes = (*moved, "--set", "steps=10")
    exported = _run("export", "detector", "--config", recipe, *changes, "--out", tmp_path / "bundle")
    assert exported.exit_code == 0, exported.stderr
    said = f"picoseek-train detector --config {recipe} --set steps=10"
    assert load_bundle(tmp_path / "bundle").manifest.recipe == said


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


@pytest.mark.slow
def test_an_embedder_of_own_pictures_is_trained_measured_and_exported(
    tmp_path: Path, mobilenet_graph: Callable[[MobileNetV1], bytes]
) -> None:
    train, asked = _folder(tmp_path / "train"), _folder(tmp_path / "asked", 100, 1)
    task = f"folder:{train} -> folder:{asked}"
    _write_teacher(tmp_path / "teacher.onnx")
    paddle.seed(2)
    source = MobileNetV1(SCALE)
    source.train()
    source(paddle.randn([8, 3, SIDE, SIDE]))
    (tmp_path / "start.pb").write_bytes(mobilenet_graph(source))
    recipe = _yaml(
        tmp_path / "recipe.yaml",
        {
            "output": str(tmp_path / "run"),
            "cache": str(tmp_path / "cache"),
            "data": str(tmp_path),
            "start": {"network": "mobilenet_v1", "weights": str(tmp_path / "start.pb"), "pictures": 8},
            "teachers": [{"model": str(tmp_path / "teacher.onnx"), "output": 0, "side": SIDE}],
            "sets": [f"folder:{train}"],
            "phases": [{"side": SIDE, "steps": 100, "rate": 1e-3, "batch_size": 4, "warmup_steps": 1}],
            "views": 1,
            "student": {"scale": SCALE, "dimension": 16},
            "neck": {"dimension": 16, "epochs": 1, "batch": 4},
            "evaluation": [task],
        },
    )
    trained = _run("embedder", "--config", recipe, "--set", "phases.0.steps=2")
    assert trained.exit_code == 0, trained.stderr
    assert f"{task} recall_at_1=" in trained.stderr
    measured = _run("eval", "embedder", "--config", recipe, "--json")
    assert set(json.loads(measured.stdout)) == {task}
    card = tmp_path / "card"
    missing = _run("export", "embedder", "--config", recipe, "--out", tmp_path / "bundle", "--card", _made(card))
    assert missing.exit_code == 1 and "manifest.yaml does not exist" in missing.stderr
    (card / "MODEL_CARD.md").write_text("# Ours\n")
    _yaml(card / "manifest.yaml", {"name": "ours", "version": "1", "license": "Apache-2.0", "network": "tiny"})
    exported = _run("export", "embedder", "--config", recipe, "--out", tmp_path / "bundle", "--card", card)
    assert exported.exit_code == 0, exported.stderr
    plain = load_bundle(tmp_path / "bundle")
    assert plain.manifest.name == "ours"
    for way in ("features", "classes"):
        whitened = _run(
            *("export", "embedder", "--config", recipe, "--out", tmp_path / way, "--card", card, "--whiten", way)
        )
        assert whitened.exit_code == 0, whitened.stderr
        assert load_bundle(tmp_path / way).space != plain.space


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_distill_trains_a_recipe_with_a_teacher(tmp_path: Path) -> None:
    train = _folder(tmp_path / "train")
    recipe = _yaml(
        tmp_path / "recipe.yaml",
        {
            "method": "recognition",
            "output": str(tmp_path / "run"),
            "sets": [f"folder:{train}"],
            "network": {"name": "pplcnet_x0_25", "dimension": 8},
            "losses": [{"kind": "cross_entropy"}],
            "optimizer": {"rate": 0.01, "warmup_epochs": 0},
            "epochs": 2,
            "steps_per_epoch": 1,
            "batch_size": 4,
            "size": SIDE,
            "sampler": {"pictures_per_class": 2},
            "log_every": 1,
            "evaluation": [f"folder:{train} -> folder:{train}"],
        },
    )
    first = _run("embedder", "--config", recipe)
    assert first.exit_code == 0, first.stderr
    teacher = tmp_path / "run/last.ckpt"
    again = _run(
        "distill", "embedder", "--config", recipe, "--teacher", teacher, "--set", f"output={tmp_path / 'taught'}"
    )
    assert again.exit_code == 0, again.stderr
    log = [json.loads(line) for line in (tmp_path / "taught/log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "distillation" in entry] == [1, 2]
    measured = json.loads(_run("eval", "embedder", "--config", recipe, "--checkpoint", teacher, "--json").stdout)
    assert set(*measured.values()) == {"recall_at_1", "recall_at_5", "mean_average_precision"}
    finished = _run("embedder", "--config", recipe)
    assert finished.exit_code == 0 and "the run is complete with 2 steps" in finished.stderr
    refused = _run("embedder", "--config", recipe, "--set", "network.dimension=4")
    assert refused.exit_code == 1 and "network.dimension was 8 and is 4" in refused.stderr
    own = _run("distill", "embedder", "--config", RECIPES / "own_embedder.yaml", "--teacher", "peer")
    assert own.exit_code == 1 and "is for recipes of `method: recognition`" in own.stderr


def test_the_own_average_teaches_a_recipe_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    command = importlib.import_module("picoseek_training.cli.embedder")  # in its package the command has its name
    monkeypatch.setattr(command, "train_embedder", lambda path, changes, tensorboard: given.append(changes))
    for name in ("general_recognition_v1.yaml", "own_embedder.yaml"):
        arguments = ("--config", RECIPES / name, "--teacher", "average", "--set", "seed=3")
        assert _run("distill", "embedder", *arguments).exit_code == 0
    recipe = read_embedder_recipe(RECIPES / "general_recognition_v1.yaml", given[0])
    assert recipe.ema == EmaConfig() and recipe.seed == 3
    assert read_embedder_recipe(RECIPES / "own_embedder.yaml", given[1]).ema == EmaConfig(decay=0.998)


def test_the_recipes_for_own_pictures_are_valid() -> None:
    teacher = read_configuration(DetectorTrainingConfig, RECIPES / "own_detector.yaml").teacher
    assert teacher is not None and teacher.seen_score == 0.15
    assert is_own_set(read_configuration(EmbedderTrainingConfig, RECIPES / "own_embedder.yaml").sets[0])
    sources = read_configuration(ConvertConfig, RECIPES / "convert_main_body.yaml").sources
    assert len({source.format for source in sources}) == 5


def test_sigterm_ends_a_training_like_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()

    @click.command()
    def endless() -> None:
        with shown_run(tmp_path, "log.jsonl", [], tensorboard=False):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 60)

    done = CliRunner().invoke(FriendlyGroup("any", {"endless": endless}), ["endless"])
    assert done.exit_code == 143
    assert "goes on from its last checkpoint" in done.stderr
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
