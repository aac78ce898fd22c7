"""The command line as a user meets it, against both real services."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import waiting
from picoseek_chassis.health_probe import probe

pytestmark = pytest.mark.slow

RUN_WITHIN_S = 240.0


class CommandLine:
    """Runs `picoseek` against given services."""

    def __init__(self, detect_embed: str, search: str) -> None:
        self.environment = {
            **os.environ,
            "PICOSEEK_DETECT_EMBED_ADDRESS": detect_embed,
            "PICOSEEK_SEARCH_ADDRESS": search,
        }

    def run(self, *arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit status."""
        done = subprocess.run(
            [sys.executable, "-m", "picoseek.cli", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_WITHIN_S,
        )
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object) -> Any:
        """Run a command with --json; standard output must hold JSON alone."""
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def picoseek(running_services: Any) -> CommandLine:
    """The command line against the running services."""
    return CommandLine(running_services.detect_embed, running_services.search)


def _pattern(kind: int, seed: int) -> np.ndarray:
    """One of some clearly different things, in a slightly different picture for each seed."""
    rng = np.random.default_rng(seed)
    pixels = np.full((160, 160, 3), 235, np.uint8)
    x, y = (int(value) for value in rng.integers(-6, 7, 2))
    colour = [(40, 40, 210), (50, 170, 40), (200, 90, 30), (20, 190, 220)][kind]
    if kind == 0:
        cv2.circle(pixels, (80 + x, 80 + y), 50, colour, -1)
    elif kind == 1:
        cv2.rectangle(pixels, (30 + x, 40 + y), (130 + x, 120 + y), colour, -1)
    elif kind == 2:
        for stripe in range(20, 150, 24):
            cv2.line(pixels, (stripe + x, 15 + y), (stripe + x, 145 + y), colour, 9)
    else:
        corners = np.array([[80 + x, 20 + y], [140 + x, 135 + y], [20 + x, 135 + y]])
        cv2.fillPoly(pixels, [corners], colour)
    noise = rng.normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


NAMES = ("red ball", "grüner Kasten", "stripes", "黄三角")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery folder and a query folder, a folder a class."""
    root = tmp_path_factory.mktemp("pictures")
    for folder, seeds in (("gallery", range(4)), ("query", range(10, 12))):
        for kind, name in enumerate(NAMES):
            (root / folder / name).mkdir(parents=True)
            for seed in seeds:
                cv2.imencode(".png", _pattern(kind, seed))[1].tofile(root / folder / name / f"{seed}.png")
    return root


@pytest.fixture
def gallery(picoseek: CommandLine, pictures: Path) -> str:
    """The name of a filled gallery."""
    picoseek.run("gallery", "import", pictures / "gallery", "--gallery", "shapes")
    return "shapes"


def test_models_are_listed_when_the_services_are_ready(picoseek: CommandLine) -> None:
    models = picoseek.json("models", "list")
    listed = models["models"] if isinstance(models, dict) else models
    assert {model["task"] for model in listed} == {"detection", "embedding"}
    shown = picoseek.run("models", "show", listed[0]["name"]).stdout
    assert listed[0]["name"] in shown


def test_an_import_again_changes_nothing_and_a_bad_picture_is_skipped(
    picoseek: CommandLine, pictures: Path, tmp_path: Path
) -> None:
    source = tmp_path / "more"
    (source / "thing").mkdir(parents=True)
    cv2.imencode(".png", _pattern(0, 77))[1].tofile(source / "thing" / "good.png")
    (source / "thing" / "bad.jpg").write_bytes(b"\xff\xd8 broken")
    first = picoseek.json("gallery", "import", source, "--gallery", "twice")
    assert (first["added"], first["unchanged"], len(first["failed"])) == (1, 0, 1)
    assert "bad.jpg" in first["failed"][0]["id"]
    again = picoseek.json("gallery", "import", source, "--gallery", "twice")
    assert (again["added"], again["unchanged"]) == (0, 1)
    cv2.imencode(".png", _pattern(1, 78))[1].tofile(source / "thing" / "good.png")
    changed = picoseek.json("gallery", "import", source, "--gallery", "twice")
    assert (changed["added"], changed["unchanged"]) == (1, 0)
    exported, restored = tmp_path / "exported", "restored"
    picoseek.run("collection", "export", "twice", exported)
    space = picoseek.json("collection", "show", "twice")["space"]
    picoseek.run("collection", "create", restored, "--space", space["digest"], "--dimension", space["dimension"])
    picoseek.run("collection", "import", restored, exported)
    counts = [picoseek.json("gallery", "import", source, "--gallery", restored)["unchanged"] for _ in range(2)]
    assert counts == [0, 1], "the files of vectors have no digests, the first import adds them"
    assert "--yes" in picoseek.run("gallery", "delete", "twice", expect=2).stderr
    picoseek.run("gallery", "delete", "twice", "--yes")
    assert "twice" not in picoseek.run("gallery", "list").stdout


def test_a_killed_import_goes_on_where_it_was(picoseek: CommandLine, tmp_path: Path) -> None:
    source = tmp_path / "many"
    (source / "thing").mkdir(parents=True)
    for number in range(96):
        cv2.imencode(".png", _pattern(number % 4, number))[1].tofile(source / "thing" / f"{number}.png")
    command = [sys.executable, "-m", "picoseek.cli", "gallery", "import", str(source), "--gallery", "cut"]
    with subprocess.Popen(command, env=picoseek.environment, stderr=subprocess.DEVNULL) as importing:

        def written() -> int:
            listed = subprocess.run(
                [sys.executable, "-m", "picoseek.cli", "gallery", "list", "--json"],
                env=picoseek.environment,
                capture_output=True,
                text=True,
            )
            entries = json.loads(listed.stdout)
            galleries = entries["galleries"] if isinstance(entries, dict) else entries
            return next((entry["references"] for entry in galleries if entry.get("name") == "cut"), 0)

        waiting.until(lambda: written() > 0 or importing.poll() is not None, within_s=RUN_WITHIN_S)
        importing.kill()
    before = written()
    assert before > 0
    result = picoseek.json("gallery", "import", source, "--gallery", "cut")
    assert result["unchanged"] >= before and result["added"] + result["unchanged"] == 96 and not result["failed"]
    picoseek.run("gallery", "delete", "cut", "--yes")


def test_known_things_are_named_and_drawn(picoseek: CommandLine, gallery: str, pictures: Path, tmp_path: Path) -> None:
    queries = [pictures / "query" / name / "10.png" for name in NAMES]
    answer = picoseek.json("recognize", *queries, "--gallery", gallery, "--out", tmp_path)
    results = answer["pictures"] if isinstance(answer, dict) else answer
    labels = [result["objects"][0]["label"] for result in results]
    assert labels == list(NAMES)
    drawn = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert len(drawn) == len(NAMES)
    for path in drawn:
        assert cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_nearest_item_is_judged_at_a_stated_rate(picoseek: CommandLine, gallery: str, pictures: Path) -> None:
    query = pictures / "query" / NAMES[0] / "10.png"
    asked = ("recognize", query, "--gallery", gallery, "--false-accept-rate", 0.05)
    judged = picoseek.json(*asked)["pictures"][0]["objects"][0]["verdict"]
    # A gallery of so few items is not calibrated, and says so.
    assert judged["kind"] == "uncalibrated"
    assert "verdict uncalibrated" in picoseek.run(*asked).stdout
    assert "--false-accept-rate" in picoseek.run(*asked[:-1], 1, expect=2).stderr


def test_an_alias_is_as_good_as_a_gallery(picoseek: CommandLine, gallery: str, pictures: Path, tmp_path: Path) -> None:
    picoseek.run("collection", "alias", "set", "shapes-now", gallery)
    query = pictures / "query" / NAMES[0] / "10.png"
    by_name, by_alias = (picoseek.json("recognize", query, "--gallery", name) for name in (gallery, "shapes-now"))
    assert by_alias["threshold"] == by_name["threshold"]
    assert by_alias["pictures"][0]["objects"][0]["label"] == NAMES[0]
    assert picoseek.json("gallery", "import", pictures / "gallery", "--gallery", "shapes-now")["added"] == 0
    assert "NAME_IS_ALIAS" in picoseek.run("gallery", "delete", "shapes-now", "--yes", expect=1).stderr
    other = tmp_path / "other" / NAMES[1]
    other.mkdir(parents=True)
    cv2.imencode(".png", _pattern(1, 3))[1].tofile(other / "3.png")
    picoseek.run("gallery", "import", other.parent, "--gallery", "shapes-2")
    picoseek.run("collection", "alias", "set", "shapes-now", "shapes-2", "--expected", gallery)
    moved = picoseek.json("recognize", query, "--gallery", "shapes-now")["pictures"][0]["objects"][0]
    assert moved["nearest"]["label"] == NAMES[1]
    picoseek.run("collection", "alias", "delete", "shapes-now")
    picoseek.run("gallery", "delete", "shapes-2", "--yes")


def test_evaluation_of_retrieval_goes_through_the_services(picoseek: CommandLine, pictures: Path) -> None:
    scores = picoseek.json("eval", "retrieval", "--gallery", pictures / "gallery", "--query", pictures / "query")
    assert scores["pictures"] == 4 * 4 + 4 * 2
    assert scores["recall_at_1"] == 1.0 and 0.9 < scores["map"] <= 1.0 and scores["recall_at_5"] == 1.0
    assert not [name for name in picoseek.run("gallery", "list").stdout.split() if name.startswith("eval")]


def test_an_evaluation_without_matches_says_why(picoseek: CommandLine, pictures: Path, tmp_path: Path) -> None:
    for folder, label in (("single", "a"), ("single", "b"), ("other", "c")):
        (tmp_path / folder / label).mkdir(parents=True)
        shutil.copy(pictures / "query" / NAMES[0] / "10.png", tmp_path / folder / label / "1.png")
    single = ("--gallery", tmp_path / "single", "--query")
    itself = picoseek.run("eval", "retrieval", *single, tmp_path / "single", expect=1).stderr
    assert "but the query itself" in itself and "same labels" not in itself
    other = picoseek.run("eval", "retrieval", *single, tmp_path / "other", expect=1).stderr
    assert "check that both use the same labels" in other


def test_evaluation_of_detection_goes_through_the_services(picoseek: CommandLine, tmp_path: Path) -> None:
    images, annotations = [], []
    for number in range(3):
        cv2.imencode(".jpg", _pattern(1, number))[1].tofile(tmp_path / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 160, "height": 160})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [30, 40, 100, 80], "area": 8000, "iscrowd": 0}
        )
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "foreground"}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    scores = picoseek.json("eval", "detection", "--images", tmp_path, "--coco", tmp_path / "truth.json")
    assert 0 <= scores["ap"] <= scores["ap50"] <= 1 and {"ar", "best_box_iou50"} <= scores.keys()


def test_a_video_is_watched_frame_by_frame(picoseek: CommandLine, gallery: str, tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "in.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 160))
    for seed in range(12):
        video.write(_pattern(0, seed))
    video.release()
    picoseek.run("watch", tmp_path / "in.mp4", "--gallery", gallery, "--out", tmp_path / "out.mp4")
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 12


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("recognize", "/nowhere.jpg", "--gallery", "shapes"), "nowhere"),
        (("recognize", __file__, "--gallery", "shapes"), "JPEG, PNG, WebP"),
        (("gallery", "delete", "not-there", "--yes"), "not-there"),
        (("models", "show", "not-there"), "not-there"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    picoseek: CommandLine, gallery: str, arguments: tuple[str, ...], word: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "picoseek.cli", *arguments],
        env=picoseek.environment,
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )
    assert done.returncode != 0 and word in done.stderr + done.stdout and "Traceback" not in done.stderr


def test_without_services_the_message_says_how_to_start_them() -> None:
    nobody = f"127.0.0.1:{waiting.free_port()}"
    done = subprocess.run(
        [sys.executable, "-m", "picoseek.cli", "models", "list"],
        env=CommandLine(nobody, nobody).environment,
        capture_output=True,
        text=True,
        timeout=RUN_WITHIN_S,
    )
    assert done.returncode != 0 and "picoseek serve" in done.stderr and "Traceback" not in done.stderr


def test_serve_starts_both_services_and_ends_them_with_itself(tmp_path: Path) -> None:
    ports = [waiting.free_port(), waiting.free_port()]
    command = [sys.executable, "-m", "picoseek.cli", "serve", "--data-dir", str(tmp_path / "data")]
    command += [f"--detect-embed-port={ports[0]}", f"--search-port={ports[1]}"]

    def serving(port: int) -> bool:
        return probe(f"127.0.0.1:{port}", "", 2.0) is None

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as serve:
        waiting.until(lambda: serve.poll() is not None or all(map(serving, ports)), within_s=RUN_WITHIN_S)
        assert serve.poll() is None
        serve.send_signal(signal.SIGINT)
        assert serve.wait(60) == 0
    assert not any(map(serving, ports))
