"""The output folder of a run: the recipe it was begun with, its last checkpoint and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from picoseek_training import checkpoint
from picoseek_training.run.fingerprint import plain
from picoseek_training.whole_file import whole_text_file

LAST, LOG, RECIPE = "last.ckpt", "log.jsonl", "recipe.json"
MAY_CHANGE = ("output", "cache", "evaluation*", "checkpoint_every", "evaluate_every", "bundle.*", "workers")
"""Keys that have no part in what is learned, as shell patterns."""
_ABSENT = "(not set)"


class RunFolder:
    """Where a run keeps what it needs to go on. Only the primary process of a run writes."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self._writes = writes

    def open(self, recipe: Any, may_change: tuple[str, ...] = (), may_grow: tuple[str, ...] = ()) -> None:
        """Begin a run with a recipe, or make sure that the run which is there was begun with the same.

        Args:
            recipe: A configuration.
            may_change: Patterns of keys, beside `MAY_CHANGE`, that may differ from the run's: those that prolong it.
            may_grow: Patterns of keys that the run need not have had.

        Raises:
            ValueError: The folder holds a run of another recipe; the message names the keys that differ.
        """
        self.check(recipe, may_change, may_grow)
        if self._writes:
            with whole_text_file(self.path / RECIPE) as stream:
                json.dump(dict(_leaves(plain(recipe), ())), stream, indent=1)

    def check(self, recipe: Any, may_change: tuple[str, ...] = (), may_grow: tuple[str, ...] = ()) -> None:
        """Make sure that the run in the folder, if there is one, was begun with a recipe; see `open`.

        Raises:
            ValueError: It is of another recipe; the message names the keys that differ.
        """
        now = dict(_leaves(plain(recipe), ()))
        file = self.path / RECIPE
        if not (self.path / LAST).exists() or not file.exists():
            return
        began = json.loads(file.read_text(encoding="utf-8"))
        differing = [
            f"{key} was {_shown(began, key)} and is {_shown(now, key)}"
            for key in sorted(began.keys() | now.keys())
            if began.get(key, _ABSENT) != now.get(key, _ABSENT)
            and not _any(key, (*MAY_CHANGE, *may_change))
            and not (key not in began and _any(key, may_grow))
        ]
        if differing:
            raise ValueError(
                f"{self.path} holds a run of another recipe: {'; '.join(differing)}; "
                "take these back, or name another `output`"
            )

    def log(self, entry: dict[str, Any]) -> None:
        """Add an entry to the log."""
        if self._writes:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / LOG).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")

    def save(self, content: dict[str, Any]) -> None:
        """Replace the last checkpoint."""
        if self._writes:
            checkpoint.save(content, self.path / LAST)

    def last(self, *needed: str) -> dict[str, Any] | None:
        """Return the last checkpoint, or None before the first.

        Raises:
            ValueError: It is damaged, or lacks a needed entry.
        """
        return checkpoint.load(self.path / LAST, *needed) if (self.path / LAST).exists() else None


def _leaves(value: Any, way: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, (*way, str(name)))
    else:
        yield ".".join(way), value


def _any(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _shown(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else _ABSENT
