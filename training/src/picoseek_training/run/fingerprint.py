"""Keys of what something was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

_BLOCK = 1 << 20


def plain(value: Any) -> Any:
    """Return a configuration, or a part of one, as mappings, lists and values that JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else value


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that differ when any of the parts does."""
    return hashlib.sha256(json.dumps([plain(part) for part in parts], sort_keys=True).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
