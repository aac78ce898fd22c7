"""JSON files of data sets, with errors that name the file and the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON in UTF-8, or no object.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; name the annotation file")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds a {type(document).__name__}; a COCO file is an object")
    return document


def list_of(document: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """Return the list of objects under a key.

    Raises:
        ValueError: There is none.
    """
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: `{key}` must be a list of objects")
    return entries


def value_of(entry: dict[str, Any], key: str, where: str) -> Any:
    """Return a value that must be there.

    Args:
        entry: The object.
        key: Name of the value.
        where: File and entry, for the message.

    Raises:
        ValueError: It is not there.
    """
    if key not in entry:
        raise ValueError(f"{where} has no `{key}`")
    return entry[key]
