"""Two processes that Paddle launches learn what one learns from the double batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from picoseek_training import checkpoint
from picoseek_training.run.folder import LAST, LOG

SIDE = 32
COMMAND = Path(sys.executable).with_name("picoseek-train")


def _write_pictures(root: Path) -> None:
    rng = np.random.default_rng(5)
    images, annotations = [], []
    for number in range(12):
        path = root / f"class{number % 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (60, 50), interpolation=cv2.INTER_NEAREST))
        images.append({"id": number, "file_name": str(path.relative_to(root)), "width": 60, "height": 50})
        box = [5 + number, 5, 30, 25 + number]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    (root.parent / "boxes.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def _embedder(root: Path) -> dict[str, Any]:
    task = f"folder:{root}/pictures -> folder:{root}/pictures"
    return {
        "method": "recognition",
        "sets": [f"folder:{root}/pictures"],
        "network": {"name": "pplcnetv2_base_shitu", "dimension": 16, "backbone": {"scale": 0.25, "dropout": 0.0}},
        "losses": [
            {"kind": "cross_entropy", "smoothing": 0.1},
            {"kind": "triplet_angular_margin", "add_absolute": True},
        ],
        "optimizer": {"rate": 0.05, "warmup_epochs": 0.4},
        "epochs": 3,
        "steps_per_epoch": 1,
        "size": SIDE,
        "sampler": {"pictures_per_class": 2},
        "frozen_statistics": True,
        "evaluation": [task],
        "evaluate_every": 3,
        "log_every": 1,
    }


def _detector(root: Path) -> dict[str, Any]:
    here = {"images": f"{root}/pictures", "annotations": f"{root}/boxes.json"}
    return {
        "network": "picodet_xs",
        "size": 192,
        "steps": 3,
        "assigner": "atss",
        "frozen_stages": [],
        "freeze_statistics": True,
        "cache": False,
        "optimizer": {"kind": "momentum", "rate": 0.01, "warmup_steps": 1},
        "augmentation": {"sizes": [192]},
        "train": [{"name": "a", "share": 1.0, **here}],
        "evaluation": [{"name": "a", **here}],
        "evaluate_every": 3,
        "bundle": {
            "name": "a",
            "version": "1",
            "description": "",
            "license": "Apache-2.0",
            "trained_on": [],
            "model_card": "card.md",
        },
    }


def _run(command: list[str], log: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    logs = "".join(file.read_text() for file in sorted(log.glob("workerlog.*")))
    assert done.returncode == 0, done.stdout + done.stderr + logs


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "make"), [("embedder", _embedder), ("detector", _detector)])
def test_two_processes_are_one_with_the_double_batch(tmp_path: Path, kind: str, make: Any) -> None:
    _write_pictures(tmp_path / "pictures")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"output": "", **make(tmp_path)}))
    launch = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", str(tmp_path)]
    for name, launcher, batch in (("one", [sys.executable], 4), ("two", launch, 2)):
        changes = ["--set", f"output={tmp_path / name}", "--set", f"batch_size={batch}"]
        _run([*launcher, str(COMMAND), kind, "--config", str(recipe), *changes], tmp_path)
    one, two = (checkpoint.load(tmp_path / name / LAST) for name in ("one", "two"))
    assert one["step"] == two["step"] == 3
    assert one["model"].keys() == two["model"].keys()
    for key, value in one["model"].items():
        np.testing.assert_allclose(two["model"][key], value, atol=1e-5, err_msg=key)
    logs = [[json.loads(line) for line in (tmp_path / name / LOG).read_text().splitlines()] for name in ("one", "two")]
    assert [entry.get("step") for entry in logs[0]] == [entry.get("step") for entry in logs[1]]
    assert sum("evaluation" in entry for entry in logs[1]) == 1
