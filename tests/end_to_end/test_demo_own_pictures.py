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
    own, output = tmp_path / "own", tmp_path / "demo"
    for label in "abcde":
        _write(own / label, 4)
    (own / "a" / "0.png").write_bytes(b"")
    (own / "a" / "1.png").write_bytes(b"no picture")
    (own / "e" / "2.png").write_bytes((own / "e" / "3.png").read_bytes()[:40])
    notes: list[str] = []
    cases = OwnCases(own, output, notes.append)
    assert [reference.label for reference in cases.references()] == ["a", *"bb", *"cc", *"dd"]
    assert [question.label for question in cases.questions()] == ["a", *"bb", *"cc", *"dd", None, None, None]
    assert len(list(cases.clip())) == 17
    assert [Path(note.removeprefix("left out ").partition(": ")[0]).parent.name for note in notes] == ["a", "a", "e"]


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    own, output = tmp_path / "own", tmp_path / "demo"
    _write(own / "only", 1)
    with pytest.raises(SourceError, match="at least two pictures"):
        OwnCases(own, output, print)
    with pytest.raises(SourceError, match="is no folder"):
        OwnCases(tmp_path / "absent", output, print)


@pytest.mark.parametrize("folder", ["demo/gallery", "demo", ".", "demo/../demo/gallery"])
def test_pictures_that_the_demo_would_replace_are_refused(folder: str, tmp_path: Path) -> None:
    _write(tmp_path / "demo" / "gallery" / "shoe", 2)
    with pytest.raises(SourceError, match="is replaced by every demo"):
        OwnCases(tmp_path / folder, tmp_path / "demo", print)
