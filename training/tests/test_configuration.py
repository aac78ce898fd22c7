"""Configurations say what is wrong with them, however deep."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.embedder.config import EmbedderTrainingConfig
from picoseek_training.recognition.config import RecognitionTrainingConfig

RECIPES = Path(__file__).parents[1] / "recipes"


@dataclasses.dataclass(frozen=True)
class Inner:
    __pydantic_config__ = STRICT

    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.rate == 13:
            raise ValueError("13 brings bad luck")


@dataclasses.dataclass(frozen=True)
class Outer:
    __pydantic_config__ = STRICT

    folder: Path
    inner: Inner = dataclasses.field(default_factory=Inner)
    parts: tuple[Inner, ...] = ()
    more: Inner | None = None


def _read(folder: Path, text: str) -> Outer:
    (folder / "run.yaml").write_text(text)
    return read_configuration(Outer, folder / "run.yaml")


def test_a_file_becomes_the_dataclass_with_its_defaults(tmp_path: Path) -> None:
    read = _read(tmp_path, "folder: runs/a\nparts: [{rate: 2}, {}]\n")
    assert read == Outer(Path("runs/a"), Inner(1.0), (Inner(2.0), Inner(1.0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner: {}", r"run\.yaml: folder: this key is missing$"),
        ("folder: a\nfolders: b", r"run\.yaml: folders: there is no such key; did you mean folder\?$"),
        ("folder: a\ninner: {ratte: 2}", r"run\.yaml: inner\.ratte: there is no such key; did you mean rate\?$"),
        ("folder: a\nparts: [{rates: 2}]", r"run\.yaml: parts\.0\.rates: there is no such key; did you mean rate\?$"),
        ("folder: a\nmore: {rats: 2}", r"run\.yaml: more\.rats: there is no such key; did you mean rate\?$"),
        ("folder: a\ninner: {colour: 2}", r"run\.yaml: inner\.colour: there is no such key$"),
        ("folder: a\ninner: {rate: 13}", r"run\.yaml: inner: 13 brings bad luck$"),
        ("folder: a\ninner: 3", r"run\.yaml: inner: keys with values belong here: rate$"),
        ("folder: a\nparts: [{}, {rate: fast}]", r"run\.yaml: parts\.1\.rate: .*number"),
        ("", r"run\.yaml: keys with values belong here: folder, inner, more, parts$"),
        ("folder: [a", r"run\.yaml is no YAML: line 1, column 11: expected ',' or ']'"),
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


@pytest.mark.parametrize(
    "change",
    ["optimizer.rate=-1", "optimizer.rate=.nan", "optimizer.momentum=1", "optimizer.weight_decay=-1", "ema.decay=1.5",
     "epochs=0", "batch_size=0", "size=-64", "network.dimension=0", "sampler.pictures_per_class=0", "workers=0",
     "augmentation.flip=2", "losses.0.weight=-1", "losses.0.smoothing=1", "evaluate_every=0", "steps_per_epoch=0"],
)  # fmt: skip
def test_recognition_values_without_sense_are_refused(change: str) -> None:
    _refused(RecognitionTrainingConfig, RECIPES / "general_recognition_v2.yaml", change)


@pytest.mark.parametrize(
    "change",
    ["phases=[]", "phases.0.side=8", "phases.0.steps=0", "phases.0.rate=0", "phases.0.batch_size=0", "ema.decay=1",
     "student.dimension=0", "student.last_stage_stride=3", "views=0", "view.mirror=-0.1", "weight_decay=-1",
     "clip_norm=0", "checkpoint_every=0", "loss.label_scale=.inf"],
)  # fmt: skip
def test_embedder_values_without_sense_are_refused(change: str) -> None:
    _refused(EmbedderTrainingConfig, RECIPES / "embedder_default.yaml", change)


@pytest.mark.parametrize(
    "change",
    ["optimizer.rate=0", "optimizer.warmup_steps=-1", "ema.decay=0", "ema.cycle=-2", "steps=0", "epochs=0",
     "batch_size=0", "size=-64", "train.0.share=0", "train.3.pictures=0", "augmentation.sizes=[]",
     "augmentation.mosaic=1.5", "augmentation.paste.most=0", "teacher.seen_score=2", "workers=0", "seed=-1"],
)  # fmt: skip
def test_detector_values_without_sense_are_refused(change: str) -> None:
    _refused(DetectorTrainingConfig, RECIPES / "detector_default.yaml", change)


def _refused(kind: type, recipe: Path, change: str) -> None:
    read_configuration(kind, recipe)
    with pytest.raises(ValueError, match=re.escape(change.split("=")[0])):
        read_configuration(kind, recipe, [change])
