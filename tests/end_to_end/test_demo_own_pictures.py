"""The demo with a user's own pictures: what cannot be read is named once and left out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.own_pictures import OwnCases
from demo.sources import SourceError


def _write(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imencode(".png", np.full((20, 30, 3), 40 * number, np.uint8))[1].tofile(folder / f"{number}.png")


def test_broken_pictures_are_named_once_and_left_out(tmp_path: Path) -> None:
    for label in "abcde":
        _write(tmp_path / label, 4)
    (tmp_path / "a" / "0.png").write_bytes(b"")
    (tmp_path / "a" / "1.png").write_bytes(b"no picture")
    (tmp_path / "e" / "2.png").write_bytes((tmp_path / "e" / "3.png").read_bytes()[:40])
    notes: list[str] = []
    cases = OwnCases(tmp_path, notes.append)
    assert [reference.label for reference in cases.references()] == ["a", *"bb", *"cc", *"dd"]
    assert [question.label for question in cases.questions()] == ["a", *"bb", *"cc", *"dd", None, None, None]
    assert len(list(cases.clip())) == 17
    assert [Path(note.removeprefix("left out ").partition(": ")[0]).parent.name for note in notes] == ["a", "a", "e"]


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "only", 1)
    with pytest.raises(SourceError, match="at least two pictures"):
        OwnCases(tmp_path, print)
    with pytest.raises(SourceError, match="is no folder"):
        OwnCases(tmp_path / "absent", print)
