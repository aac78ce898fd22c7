"""Which collections there are."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from google.protobuf.message import DecodeError
from picoseek_protos.v1 import collection_pb2

from picoseek_search.storage.sqlite import connect, corrupt, transaction, translated

_SCHEMA = """
CREATE TABLE collections (
    name TEXT PRIMARY KEY,
    directory TEXT NOT NULL UNIQUE,
    settings BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE discarded (
    directory TEXT PRIMARY KEY
) STRICT
"""


@dataclass(frozen=True)
class Registration:
    """A collection that exists."""

    directory: str
    """Name of its directory, never used before."""
    settings: collection_pb2.Collection
    """What was asked for, defaults filled in; of the fields that the service sets, only the times."""


class Registry:
    """The list of collections. A collection exists from the moment that its row is on disk until the row is gone.

    Directories of collections that do not exist yet or any more are on a list of their own: what a crash leaves behind
    is found by it, and a directory that is on neither list is never touched.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._path = path
        self._connection = connect(path, schema=_SCHEMA, create=True)
        self._lock = threading.Lock()

    def all(self) -> list[Registration]:
        """Return every collection, by name.

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        found: list[Registration] = []
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT name, directory, settings, checksum FROM collections ORDER BY name"
            ).fetchall()
        for name, directory, settings, checksum in rows:
            try:
                if google_crc32c.value(settings) != checksum:
                    raise corrupt(self._path, f"settings of collection {name!r}")
                found.append(Registration(directory, collection_pb2.Collection.FromString(settings)))
            except DecodeError as error:
                raise corrupt(self._path, f"settings of collection {name!r}") from error
        return found

    def reserve(self, directory: str) -> None:
        """Note that a collection's directory is about to be made.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._connection.execute("INSERT INTO discarded (directory) VALUES (?)", (directory,))

    def add(self, registration: Registration) -> None:
        """Make a collection exist; its name is free and its directory reserved.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        settings = registration.settings.SerializeToString(deterministic=True)
        with self._writing():
            self._connection.execute("DELETE FROM discarded WHERE directory = ?", (registration.directory,))
            self._connection.execute(
                "INSERT INTO collections (name, directory, settings, checksum) VALUES (?, ?, ?, ?)",
                (registration.settings.name, registration.directory, settings, google_crc32c.value(settings)),
            )

    def remove(self, registration: Registration) -> None:
        """Make a collection not exist; its directory may be removed from then on.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._connection.execute("DELETE FROM collections WHERE directory = ?", (registration.directory,))
            self._connection.execute("INSERT INTO discarded (directory) VALUES (?)", (registration.directory,))

    def discarded(self) -> list[str]:
        """Return the directories of collections that do not exist."""
        with self._lock, translated(self._path):
            return [row[0] for row in self._connection.execute("SELECT directory FROM discarded")]

    def forget(self, directory: str) -> None:
        """Note that a discarded directory is gone."""
        with self._writing():
            self._connection.execute("DELETE FROM discarded WHERE directory = ?", (directory,))

    @contextmanager
    def _writing(self) -> Generator[None]:
        with self._lock, translated(self._path), transaction(self._connection):
            yield

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
