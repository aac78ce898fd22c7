"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from picoseek_training.whole_file import whole_text_file


def _fail(path: Path) -> None:
    with whole_text_file(path) as stream:
        stream.write("half")
        raise RuntimeError("power cut")


def test_a_file_takes_the_place_of_another_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep/file.txt"
    for text in ("één", "two"):
        with whole_text_file(path) as stream:
            stream.write(text)
            assert not path.exists() or path.read_text(encoding="utf-8") == "één"
        assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(RuntimeError, match="power cut"):
        _fail(path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    with pytest.raises(RuntimeError, match="power cut"):
        _fail(path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
