"""Changes to a configuration from the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek_training.configuration import STRICT, read_configuration
from picoseek_training.overrides import Override, apply_override


@dataclass(frozen=True)
class Phase:
    __pydantic_config__ = STRICT

    steps: int
    rate: float = 1.0


@dataclass(frozen=True)
class Run:
    __pydantic_config__ = STRICT

    folder: Path
    phases: tuple[Phase, ...] = ()
    sets: tuple[str, ...] = ()
    clip: float | None = 5.0
    last: Phase = field(default_factory=lambda: Phase(1))


def _read(tmp_path: Path, *overrides: str) -> Run:
    file = tmp_path / "run.yaml"
    file.write_text("folder: a\nphases: [{steps: 1}, {steps: 2, rate: 3}]\n")
    return read_configuration(Run, file, overrides)


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("folder=b/c=d", {"folder": Path("b/c=d")}),
        ("phases.1.steps=9", {"phases": (Phase(1), Phase(9, 3.0))}),
        ("phases.0.rate=1e-3", {"phases": (Phase(1, 1e-3), Phase(2, 3.0))}),
        ("phases=[]", {"phases": ()}),
        ("sets=[x, 'folder:y']", {"sets": ("x", "folder:y")}),
        ("clip=null", {"clip": None}),
        ("last.steps=4", {"last": Phase(4)}),
    ],
)
def test_one_value_changes(tmp_path: Path, override: str, changed: dict[str, object]) -> None:
    base = {"folder": Path("a"), "phases": (Phase(1), Phase(2, 3.0))}
    assert _read(tmp_path, override) == Run(**{**base, **changed})  # type: ignore[arg-type]


def test_later_changes_win_and_a_file_is_not_needed() -> None:
    assert read_configuration(Run, None, ["folder=a", "clip=1", "clip=2"]) == Run(Path("a"), clip=2.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=3", r"--set: stepz: "),
        ("last.steps=many", r"--set: last\.steps: .*integer"),
        ("phases.1.ratte=2", r"--set: phases\.1\.ratte: "),
        ("phases.2.steps=1", r"--set phases\.2: the list has entries 0 to 1"),
        ("phases.first.steps=1", r"--set phases\.first: the list has"),
        ("folder.sub=1", r"--set folder\.sub: folder is a value without keys"),
        ("folder", "write key=value"),
        ("=3", "write key=value"),
        ("a..b=3", "write key=value"),
        ("sets=[a", "the value is no YAML"),
    ],
)
def test_a_wrong_change_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, override)


def test_an_error_of_the_file_still_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("folder: a\nphasez: 1\n")
    with pytest.raises(ValueError, match=r"run\.yaml: phasez: "):
        read_configuration(Run, file, ["clip=1"])


_DOCUMENTS = st.recursive(
    st.none() | st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)


@given(
    st.dictionaries(st.sampled_from("abc"), _DOCUMENTS, max_size=3),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple),
)
def test_the_value_is_there_and_what_was_given_is_not_touched(document: dict, key: tuple[str, ...]) -> None:
    before = repr(document)
    try:
        changed = apply_override(document, Override(key, "new"))
    except ValueError:
        return
    assert repr(document) == before
    for name in key:
        changed = changed[name]
    assert changed == "new"
