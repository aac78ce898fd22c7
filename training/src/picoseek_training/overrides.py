"""Changes to a configuration from the command line: `optimizer.rate=1e-3`, `phases.0.steps=10`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Override:
    """One change."""

    key: tuple[str, ...]
    """The way to the value: names of keys, and numbers of list entries counted from 0."""
    value: Any


def read_override(text: str) -> Override:
    """Read `key.sub=value`; the value is YAML, so that `[a, b]`, `true` and `null` mean what they do in a file.

    Raises:
        ValueError: There is no key, or the value is no YAML.
    """
    name, separator, value = text.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not separator or not all(key):
        raise ValueError(f"--set {text}: write key=value, or key.sub=value")
    try:
        return Override(key, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ValueError(f"--set {text}: the value is no YAML: {error}") from error


def apply_override(document: Any, override: Override) -> Any:
    """Return a document of mappings, lists and values with one value changed; mappings on the way are made.

    Raises:
        ValueError: The way leads through a value, or to a list entry that there is not; the message names the key.
    """
    return _with_value(document, override.key, override.value, ())


def _with_value(part: Any, rest: tuple[str, ...], value: Any, walked: tuple[str, ...]) -> Any:
    if not rest:
        return value
    name, walked = rest[0], (*walked, rest[0])
    if part is None or isinstance(part, dict):
        mapping = part or {}
        return {**mapping, name: _with_value(mapping.get(name), rest[1:], value, walked)}
    if isinstance(part, list):
        if not name.isdecimal() or int(name) >= len(part):
            raise ValueError(f"--set {'.'.join(walked)}: the list has entries 0 to {len(part) - 1}")
        at = int(name)
        return [*part[:at], _with_value(part[at], rest[1:], value, walked), *part[at + 1 :]]
    raise ValueError(f"--set {'.'.join(walked)}: {'.'.join(walked[:-1]) or 'the document'} is a value without keys")
