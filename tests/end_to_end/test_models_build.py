"""`picoseek models build`, and the bundle in the hands of both services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import waiting
from picoseek_bundle import Task, default_bundle, load_bundle
from picoseek_chassis.health_probe import probe

pytestmark = pytest.mark.slow

RUN_WITHIN_S = 300.0
CLASSES = ("red ball", "grüner Kasten", "stripes")


def _picture(kind: int, seed: int) -> np.ndarray:
    """One of three clearly different things, a little different for each seed."""
    rng = np.random.default_rng((kind, seed))
    pixels = np.full((160, 160, 3), 235, np.uint8)
    x, y = (int(value) for value in rng.integers(-8, 9, 2))
    if kind == 0:
        cv2.circle(pixels, (80 + x, 80 + y), 50, (40, 40, 210), -1)
    elif kind == 1:
        cv2.rectangle(pixels, (30 + x, 40 + y), (130 + x, 120 + y), (50, 170, 40), -1)
    else:
        for stripe in range(20, 150, 24):
            cv2.line(pixels, (stripe + x, 15 + y), (stripe + x, 145 + y), (200, 90, 30), 9)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels)[1].tofile(path)


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "picoseek.cli", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen pictures, a folder a class, and one that is broken."""
    folder = tmp_path_factory.mktemp("labels") / "shapes"
    for kind, name in enumerate(CLASSES):
        for seed in range(4):
            _write(folder / name / f"{seed}.png", _picture(kind, seed))
    (folder / CLASSES[0] / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    return folder


@contextmanager
def _served(folder: Path, *bundles: Path) -> Iterator[dict[str, str]]:
    """`picoseek serve` with bundles; yields the environment in which the command line finds it."""
    ports = {"detect-embed": waiting.free_port(), "search": waiting.free_port()}
    command = [sys.executable, "-m", "picoseek.cli", "serve", f"--data-dir={folder / 'data'}"]
    command += [f"--bundle={bundle}" for bundle in bundles]
    command += [f"--{name}-port={port}" for name, port in ports.items()]
    log = folder / "serve.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as serve:
        try:
            waiting.until(
                lambda: (
                    serve.poll() is not None
                    or all(probe(f"127.0.0.1:{port}", "", 2.0) is None for port in ports.values())
                ),
                within_s=RUN_WITHIN_S,
            )
            assert serve.poll() is None, log.read_text()
            yield {f"PICOSEEK_{name.upper().replace('-', '_')}_ADDRESS": f"127.0.0.1:{p}" for name, p in ports.items()}
        finally:
            serve.terminate()


def test_a_bundle_adapted_to_labels_is_built_and_recognises_with_the_shipped_detector(
    labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    built = _run("models", "build", "efficientnet-lite0", "--out", out, "--labels", labels)
    assert built.returncode == 0, built.stderr
    assert "broken.jpg" in built.stderr and "3 held-out pictures" in built.stderr and "picoseek serve" in built.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    manifest = load_bundle(out).manifest
    assert (manifest.license, manifest.input.width) == ("Apache-2.0", 224)
    assert {"recall_at_1", "recall_at_1_before_labels"} == {figure.metric for figure in manifest.accuracy}
    assert all(0 <= figure.value <= 1 for figure in manifest.accuracy)
    assert "9 pictures of 3 classes of shapes" in (out / "MODEL_CARD.md").read_text()

    for kind, name in enumerate(CLASSES):
        _write(tmp_path / "gallery" / name / "reference.png", _picture(kind, 100))
        _write(tmp_path / "query" / f"{kind}.png", _picture(kind, 200))
    with _served(tmp_path, out) as environment:
        models: Any = json.loads(_run("models", "list", "--json", **environment).stdout)["models"]
        assert {(model["task"], model["name"] == manifest.name) for model in models} == {
            ("detection", False),
            ("embedding", True),
        }
        assert "ships with PicoSeek" in (tmp_path / "serve.log").read_text()
        assert _run("gallery", "import", tmp_path / "gallery", "--gallery", "shapes", **environment).returncode == 0
        queries = [tmp_path / "query" / f"{kind}.png" for kind in range(len(CLASSES))]
        answer = json.loads(_run("recognize", *queries, "--gallery", "shapes", "--json", **environment).stdout)
        assert [picture["objects"][0]["label"] for picture in answer["pictures"]] == list(CLASSES)


def test_hash_codes_are_built_alike_every_time_and_recognise_by_hamming_distance(tmp_path: Path) -> None:
    built = [_run("models", "build", "hash", "--out", tmp_path / name) for name in ("bundle", "again")]
    assert [done.returncode for done in built] == [0, 0], built[0].stderr
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.space == load_bundle(tmp_path / "again").space
    for kind, name in enumerate(CLASSES):
        for seed in range(100, 103):
            _write(tmp_path / "gallery" / name / f"{seed}.png", _picture(kind, seed))
        _write(tmp_path / "query" / name / "query.png", _picture(kind, 200))
    shipped = default_bundle(Task.EMBEDDING)
    with _served(tmp_path, tmp_path / "bundle", shipped) as environment:
        space = json.loads(_run("models", "show", bundle.manifest.name, "--json", **environment).stdout)["space"]
        assert space == {
            "digest": bundle.space,
            "dimension": 256,
            "type": "bits",
            "normalized": False,
            "metric": "hamming",
        }
        assert _run("gallery", "import", tmp_path / "gallery", "--gallery", "codes", **environment).returncode == 0
        queries = [tmp_path / "query" / name / "query.png" for name in CLASSES]
        answer = json.loads(_run("recognize", *queries, "--gallery", "codes", "--json", **environment).stdout)
        assert 0 < answer["threshold"] < 128
        for picture, name in zip(answer["pictures"], CLASSES, strict=True):
            best = picture["objects"][0]
            assert best["label"] == name and best["known"] and best["score"] <= answer["threshold"]
            assert best["score"] == int(best["score"]) < best["runner_up"]["score"]
        sides = ("--gallery", tmp_path / "gallery", "--query", tmp_path / "query")
        assert json.loads(_run("eval", "retrieval", *sides, "--json", **environment).stdout)["recall_at_1"] == 1.0

        # A gallery of the embedder that is not the default: it is found by the gallery's space.
        other = ("--gallery", "numbers")
        name = load_bundle(shipped).manifest.name
        first = _run("gallery", "import", tmp_path / "gallery", *other, "--embedder", name, **environment)
        assert first.returncode == 0, first.stderr
        again = _run("gallery", "import", tmp_path / "gallery", *other, "--json", **environment)
        assert json.loads(again.stdout)["unchanged"] == 3 * len(CLASSES)
        answer = json.loads(_run("recognize", *queries, *other, "--json", **environment).stdout)
        for picture, label in zip(answer["pictures"], CLASSES, strict=True):
            nearest = picture["objects"][0]["nearest"]
            assert nearest["label"] == label and 0.0 < nearest["score"] < 1.0


def test_codes_take_no_labels(tmp_path: Path) -> None:
    done = _run("models", "build", "hash", "--out", tmp_path / "bundle", "--labels", tmp_path)
    assert done.returncode == 2 and "picoseek-train hash" in done.stderr


def test_what_cannot_be_built_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    _write(tmp_path / "one" / "cup" / "a.png", _picture(0, 0))
    _write(tmp_path / "one" / "pot" / "a.png", _picture(1, 0))
    _write(tmp_path / "one" / "pot" / "b.png", _picture(1, 1))
    done = _run("models", "build", "efficientnet-lite0", "--out", tmp_path / "bundle", "--labels", tmp_path / "one")
    assert done.returncode != 0 and "fewer than two pictures: cup" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
