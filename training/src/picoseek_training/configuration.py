"""Configurations: frozen dataclasses with a docstring a field, written as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from picoseek_training.overrides import Override, apply_override, read_override

STRICT = ConfigDict(extra="forbid")
"""`__pydantic_config__` of every class of a configuration: a misspelt key is an error and not a default."""

_Configuration = TypeVar("_Configuration")


def read_configuration(kind: type[_Configuration], path: Path | None, overrides: Sequence[str] = ()) -> _Configuration:
    """Read a YAML file as a configuration; relative paths in it are relative to the working directory.

    Args:
        kind: The dataclass to make.
        path: The file; None starts with nothing, so that the overrides say everything.
        overrides: Changes `key.sub=value`, made before the configuration is checked; see `read_override`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no YAML, or a key is unknown, missing or of the wrong type; the message names it.
    """
    changes = [read_override(text) for text in overrides]
    return _checked(kind, _document(path, changes), path, changes)


def read_configuration_of(
    kinds: Mapping[str, type[_Configuration]], key: str, default: str, path: Path | None, overrides: Sequence[str] = ()
) -> _Configuration:
    """Read a configuration that says in one of its keys of which kind it is, see `read_configuration`.

    Args:
        kinds: The dataclasses by the values of the key.
        key: The key.
        default: Its value in documents without it.
        path: The file, or None.
        overrides: Changes, see `read_configuration`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As for `read_configuration`, or there is no such kind.
    """
    changes = [read_override(text) for text in overrides]
    document = _document(path, changes)
    said = document.get(key, default) if isinstance(document, dict) else default
    if said not in kinds:
        raise ValueError(f"{_place(path, (key,), changes)}: {key}: {said!r} is none of {', '.join(kinds)}")
    return _checked(kinds[said], document, path, changes)


def _document(path: Path | None, changes: Sequence[Override]) -> object:
    document = None if path is None else _read_yaml(path)
    for change in changes:
        document = apply_override({} if document is None else document, change)
    return document


def _checked(
    kind: type[_Configuration], document: object, path: Path | None, changes: Sequence[Override]
) -> _Configuration:
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        parts = tuple(str(part) for part in first["loc"])
        said = [_place(path, parts, changes), *([".".join(parts)] if parts else [])]
        # What our own checks raise comes with pydantic's name for it.
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "dataclass_type":
            message = f"keys with values belong here{_listed(_keys(kind, parts))}"
        elif first["type"] == "missing":
            message = "this key is missing"
        elif first["type"] == "unexpected_keyword_argument":
            message = f"there is no such key{_suggestion(kind, parts)}"
        raise ValueError(": ".join([*said, message])) from error


def _suggestion(kind: Any, parts: tuple[str, ...]) -> str:
    close = get_close_matches(parts[-1], sorted(_keys(kind, parts[:-1])), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _listed(keys: set[str]) -> str:
    return f": {', '.join(sorted(keys))}" if keys else ""


def _keys(kind: Any, parts: tuple[str, ...]) -> set[str]:
    """Keys that a configuration has where `parts` lead; of all alternatives where there are several."""
    if not is_dataclass(kind):
        # The types in `A | None`, `tuple[A, ...]` or `dict[str, A]`; names of alternatives and numbers lead into them.
        inner = [each for each in get_args(kind) if each is not Ellipsis]
        return {key for each in inner for rest in (parts, parts[1:]) for key in _keys(each, rest)}
    hints = get_type_hints(kind)
    if not parts:
        return set(hints)
    return _keys(hints[parts[0]], parts[1:]) if parts[0] in hints else set()


def _read_yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{path} is no YAML: {where}{error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error


def _place(path: Path | None, parts: tuple[str, ...], changes: Sequence[Override]) -> str:
    """Where a key was said."""
    said_by_override = any(parts[: len(change.key)] == change.key for change in changes)
    return "--set" if path is None or said_by_override else str(path)
