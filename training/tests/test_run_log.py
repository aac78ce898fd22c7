"""The log of a run, followed while it is written, and its scalars as event files."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from picoseek_training.run_log.follower import LogFollower
from picoseek_training.run_log.position import steps_done
from picoseek_training.run_log.tensorboard import TensorBoardScalars


def _append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(text)


def test_new_entries_are_handed_over_while_the_run_goes_on(tmp_path: Path) -> None:
    log, seen, came = tmp_path / "log.jsonl", [], threading.Event()

    def listen(entry: dict[str, Any]) -> None:
        seen.append(entry["step"])
        came.set()

    _append(log, '{"step": 1}\n')
    with LogFollower(log, listen):
        _append(log, '{"step": 2}\n{"st')
        assert came.wait(20)
        assert seen == [2]
        _append(log, 'ep": 3}\n')
    assert seen == [2, 3]


def test_a_log_that_begins_later_and_a_run_that_fails(tmp_path: Path) -> None:
    log, seen = tmp_path / "log.jsonl", []

    def fail() -> None:
        _append(log, '{"step": 1}\n')
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), LogFollower(log, seen.append):
        fail()
    assert seen == [{"step": 1}]


@pytest.mark.parametrize(
    ("entry", "done"),
    [({"step": 3}, 3), ({"phase": 0, "step": 3}, 3), ({"phase": 2, "step": 3}, 33), ({"prepared": "neck"}, None)],
)
def test_steps_count_over_phases(entry: dict[str, Any], done: int | None) -> None:
    assert steps_done(entry, [10, 20, 5]) == done


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.iterdir()):
        data, at = file.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, round(value.simple_value, 4)))
    return found


def test_scalars_of_training_and_evaluation(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    entries = [
        {"prepared": "teacher", "units": 5},
        {"phase": 0, "step": 5, "loss": 0.5, "rate": 0.25},
        {"phase": 1, "step": 5, "loss": 0.125, "rate": 0.25},
        {"phase": 1, "step": 5, "evaluation": "folder:a -> folder:b", "recall_at_1": 0.75},
    ]
    with TensorBoardScalars(tmp_path / "events", [10, 20]) as scalars:
        for entry in entries:
            scalars.write(json.loads(json.dumps(entry)))
    assert _scalars(tmp_path / "events") == {
        "train/loss": [(5, 0.5), (15, 0.125)],
        "train/rate": [(5, 0.25), (15, 0.25)],
        "folder_a_-_folder_b/recall_at_1": [(15, 0.75)],
    }
