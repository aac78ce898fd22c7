"""Configurations: frozen dataclasses with a docstring a field, written as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

STRICT = ConfigDict(extra="forbid")
"""`__pydantic_config__` of every class of a configuration: a misspelt key is an error and not a default."""

_Configuration = TypeVar("_Configuration")


def read_configuration(kind: type[_Configuration], path: Path) -> _Configuration:
    """Read a YAML file as a configuration; relative paths in it are relative to the working directory.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no YAML, or a key is unknown, missing or of the wrong type; the message names it.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ValueError(f"{path}: {key}: {first['msg']}") from error
