"""Where a node keeps its files."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Self


class DataDirectory:
    """A directory that belongs to one process at a time.

    `registry.sqlite3` names the collections, `operations.sqlite3` long work. Each collection has a directory under
    `collections/` with `documents.sqlite3` and, in `index/` and `rebuild/`, index files that can be built anew.
    """

    def __init__(self, root: Path) -> None:
        """Make the directory if need be, and take it.

        Raises:
            OSError: it cannot be made, another process has it, or it has lost the list of its collections.
        """
        self._root = root
        try:
            self.collections.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"data_dir {root} cannot be used as a directory: {error.strerror}; choose another") from error
        self._lock = (root / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OSError(f"{root} is in use by another process; give each service its own directory") from error
        if not self.registry.exists() and any(self.collections.iterdir()):
            self._lock.close()
            raise OSError(
                f"{self.registry}, the list of collections, is gone, but {self.collections} is not empty: put the file "
                "back from a copy of the data directory; or start on another data directory with the same snapshots, "
                "and restore from them"
            )

    @property
    def registry(self) -> Path:
        """The list of collections."""
        return self._root / "registry.sqlite3"

    @property
    def operations(self) -> Path:
        """The list of operations."""
        return self._root / "operations.sqlite3"

    @staticmethod
    def snapshots_of(root: Path) -> Path:
        """Return where snapshots are if nothing else is said."""
        return root / "snapshots"

    @property
    def collections(self) -> Path:
        """Parent of the collections' directories."""
        return self._root / "collections"

    def make(self, name: str) -> Path:
        """Make a collection's directory, which must be new."""
        path = self.collections / name
        (path / "index").mkdir(parents=True)
        for parent in (path, self.collections):
            _sync(parent)
        return path

    def remove(self, name: str) -> None:
        """Remove a collection's directory, if it is there."""
        shutil.rmtree(self.collections / name, ignore_errors=True)

    def set_aside(self, database: Path) -> None:
        """Keep a damaged database under another name, in the place of the one before."""
        for path in self._root.glob(f"{database.name}*"):
            if ".damaged" not in path.name:
                os.replace(path, path.with_name(path.name.replace(database.name, f"{database.name}.damaged")))

    def close(self) -> None:
        """Let go of the directory."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
