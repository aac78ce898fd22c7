"""The shipped models in PaddleX's own PP-ShiTuV2 pipeline find what the services find.

PaddleX lives in an environment of its own: `make paddlex` makes it and runs this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picoseek import (
    Client,
    ConnectionConfig,
    DetectEmbedOptions,
    Gallery,
    LabelledPicture,
    SearchOptions,
    WholePicture,
)
from picoseek_bundle import Task, default_bundle

PYTHON = os.environ.get("PICOSEEK_PADDLEX", "")
PROGRAM = Path(__file__).with_name("paddlex_pipeline.py")
DATA = Path(__file__).parents[3] / "shared" / "data"
RUNS_WITHIN_S = 600
THINGS, PICTURES = 20, 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="PaddleX has an environment of its own: make paddlex"),
    pytest.mark.skipif(not DATA.exists(), reason="needs the project's data beside the repository, ../shared/data"),
]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Two pictures each of twenty groceries, and PaddleX's list of them."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    classes = sorted(path.parent for path in (DATA / "grocery" / "train").rglob("*_001.jpg"))[:THINGS]
    lines = []
    for each in classes:
        for path in sorted(each.iterdir())[:2]:
            shutil.copy(path, folder / path.name)
            lines.append(f"{path.name} {each.name}")
    (folder / "gallery.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in sorted((DATA / "detection" / "fruit" / "images").iterdir())[::30][:PICTURES]:
        shutil.copy(path, folder / path.name)
    return folder


def test_boxes_and_neighbours_are_those_of_the_services(
    running_services: Any, gallery: Path, pictures: Path, tmp_path: Path
) -> None:
    bundles = [str(default_bundle(task)) for task in (Task.DETECTION, Task.EMBEDDING)]
    target = tmp_path / "found.json"
    command = [PYTHON, str(PROGRAM), *bundles, str(gallery), str(pictures), str(target)]
    environment = {**os.environ, "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "True"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUNS_WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(target.read_text())

    listed = [line.split() for line in (gallery / "gallery.txt").read_text().splitlines()]
    labelled = [LabelledPicture(name, gallery / name, label) for name, label in listed]
    options = DetectEmbedOptions(score_threshold=0.2, max_detections=100, whole_picture=WholePicture.NEVER)
    compared = 0
    with Client(ConnectionConfig(running_services.detect_embed, running_services.search)) as client:
        added = Gallery("paddlex", client).add_pictures(labelled)
        assert (added.added, added.failed) == (len(labelled), ())
        for path in sorted(pictures.iterdir()):
            (ours,) = client.detect_embed([path], options)
            found = sorted(theirs[path.name], key=lambda each: -each["score"])
            # Without a box PaddleX takes the whole picture, with score 0.
            found = [each for each in found if each["score"] > 0]
            assert len(found) == len(ours.objects), path.name
            for mine, other in zip(ours.objects, found, strict=True):
                assert mine.detector_score == pytest.approx(other["score"], abs=1e-3)
                np.testing.assert_allclose(mine.box.as_list(), _clipped(other["box"], ours), atol=0.5)
                assert mine.embedding is not None
                hits = client.search(
                    "paddlex", [mine.embedding.vector], space=mine.embedding.space, options=SearchOptions(k=3)
                ).hits[0]
                # Both cut boxes at whole pixels, so equal crops make all but equal vectors.
                scores = [hit.score for hit in hits]
                np.testing.assert_allclose(scores, other["similarities"], atol=0.02)
                if scores[0] - scores[1] > 0.04:
                    assert hits[0].item == other["labels"][0]
                compared += 1
    assert compared >= PICTURES // 2


def _clipped(box: list[float], result: Any) -> np.ndarray:
    limits = np.array([result.width, result.height, result.width, result.height], np.float64)
    return np.clip(np.array(box), 0.0, limits)
