"""Configurations say what is wrong with them, however deep."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.embedder.config import EmbedderTrainingConfig
from picoseek_training.recognition.config import RecognitionTrainingConfig


@dataclasses.dataclass(frozen=True)
class Inner:
    __pydantic_config__ = STRICT

    rate: float = 1.0


@dataclasses.dataclass(frozen=True)
class Outer:
    __pydantic_config__ = STRICT

    folder: Path
    inner: Inner = dataclasses.field(default_factory=Inner)
    parts: tuple[Inner, ...] = ()


def _read(folder: Path, text: str) -> Outer:
    (folder / "run.yaml").write_text(text)
    return read_configuration(Outer, folder / "run.yaml")


def test_a_file_becomes_the_dataclass_with_its_defaults(tmp_path: Path) -> None:
    read = _read(tmp_path, "folder: runs/a\nparts: [{rate: 2}, {}]\n")
    assert read == Outer(Path("runs/a"), Inner(1.0), (Inner(2.0), Inner(1.0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner: {}", r"run\.yaml: folder: .*required"),
        ("folder: a\nfolders: b", r"run\.yaml: folders: "),
        ("folder: a\ninner: {ratte: 2}", r"run\.yaml: inner\.ratte: "),
        ("folder: a\nparts: [{}, {rate: fast}]", r"run\.yaml: parts\.1\.rate: .*number"),
        ("", r"run\.yaml: the document: "),
        ("folder: [a", r"run\.yaml is no YAML: "),
    ],
)
def test_the_wrong_key_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        read_configuration(Outer, tmp_path / "nowhere.yaml")


def _classes(kind: Any) -> Iterator[type]:
    """Every dataclass inside a type."""
    for argument in typing.get_args(kind):
        yield from _classes(argument)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        yield kind
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            yield from _classes(hints[field.name])


@pytest.mark.parametrize("kind", [DetectorTrainingConfig, EmbedderTrainingConfig, RecognitionTrainingConfig])
def test_no_part_of_a_training_s_configuration_takes_misspelt_keys(kind: type) -> None:
    lenient = {part.__name__ for part in _classes(kind) if getattr(part, "__pydantic_config__", {}) != STRICT}
    assert lenient == set()
