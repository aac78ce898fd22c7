"""The command that measures a model card's tables through the services."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

RUN_WITHIN_S = 300.0


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "picoseek_training.model_card", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )


def _write_coins(root: Path) -> None:
    rng = np.random.default_rng(3)
    for label in range(3):
        base = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        for split, count in (("train", 3), ("test", 2)):
            folder = root / "coins" / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                shade = np.clip(base.astype(int) + rng.integers(-9, 10), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(shade, (96, 96), interpolation=cv2.INTER_NEAREST))


def _write_raccoon(root: Path) -> None:
    folder = root / "detection" / "raccoon"
    (folder / "images").mkdir(parents=True)
    picture = np.full((240, 320, 3), 200, np.uint8)
    cv2.circle(picture, (160, 120), 70, (30, 60, 160), -1)
    cv2.imwrite(str(folder / "images" / "one.png"), picture)
    box = [90, 50, 140, 140]
    truth = {
        "images": [{"id": 1, "file_name": "one.png", "width": 320, "height": 240}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 19600, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "foreground"}],
    }
    (folder / "test.json").write_text(json.dumps(truth), encoding="utf-8")


def test_what_is_there_is_measured_and_what_is_not_is_named(tmp_path: Path) -> None:
    _write_coins(tmp_path)
    _write_raccoon(tmp_path)
    done = _run("--data", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("|")}
    assert rows["coins train to test"].split("|")[2:6] == [" 1.000 ", " 1.000 ", " 1.000 ", " 6 "]
    assert rows["raccoon"].split("|")[-2].strip() == "1"
    assert "grocery_train_to_test is left out" in done.stderr
    assert "household is left out" in done.stderr


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    done = _run("--data", tmp_path / "absent")
    assert done.returncode == 1
    assert "absent does not exist" in done.stderr
