"""Which collections there are."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from google.protobuf.message import DecodeError
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2

from picoseek_search.storage.blob_checksum import blob_checksum
from picoseek_search.storage.history import History
from picoseek_search.storage.sqlite import check_form, connect, corrupt, transaction, translated

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
_ADDED = (
    """
    CREATE TABLE IF NOT EXISTS aliases (
        name TEXT PRIMARY KEY,
        collection TEXT NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS rebuilds (
        directory TEXT PRIMARY KEY,
        operation TEXT NOT NULL,
        factory TEXT NOT NULL,
        ef_construction INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS histories (
        directory TEXT PRIMARY KEY,
        history TEXT NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT
    """,
)
"""Tables that files of the first versions do not have."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registration:
    """A collection that exists."""

    directory: str
    """Name of its directory, never used before."""
    settings: collection_pb2.Collection
    """What was asked for, defaults filled in; of the fields that the service sets, only the times."""


@dataclass(frozen=True)
class RegisteredRebuild:
    """A change of a collection's index kind that has not ended, or has just ended."""

    operation_id: str
    """Operation.id of it."""
    factory: str
    """IndexConfig.factory that the collection gets."""
    ef_construction: int
    """IndexConfig.ef_construction that it gets."""


class Registry:
    """The list of collections and of their aliases.

    A collection exists from the moment that its row is on disk until the row is gone.

    Directories of collections that do not exist yet or any more are on a list of their own: what a crash leaves behind
    is found by it, and a directory that is on neither list is never touched.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = self._open()
        except ServiceError as error:
            if error.reason != "STORAGE_CORRUPT":
                raise
            raise errors.data_loss(
                error.reason,
                f"{path}, the list of collections, is damaged ({error.metadata['cause']}): put it back from a copy of "
                "the data directory; or start on another data directory with the same snapshots, and restore from them",
                file=str(path),
            ) from error

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, schema=_SCHEMA, create=True)
        try:
            check_form(connection, self._path)
            with translated(self._path), transaction(connection):
                for statement in _ADDED:
                    connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def all(self) -> list[tuple[Registration, ServiceError | None]]:
        """Return every collection, by name, and what is wrong with its row; then only the name of it is known.

        Raises:
            ServiceError: STORAGE_CORRUPT, there is no telling which collections there are.
        """
        found: list[tuple[Registration, ServiceError | None]] = []
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT name, directory, settings, checksum FROM collections ORDER BY name"
            ).fetchall()
        for name, directory, settings, checksum in rows:
            known = collection_pb2.Collection()
            with suppress(DecodeError):
                if blob_checksum(settings) == checksum:
                    known = collection_pb2.Collection.FromString(settings)
            if known.name == name:
                found.append((Registration(directory, known), None))
            else:
                bare = Registration(directory, collection_pb2.Collection(name=name))
                found.append((bare, corrupt(self._path, f"settings of collection {name!r}")))
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

    def put(self, registration: Registration, history: History, replaced: Registration | None) -> None:
        """Make a restored collection exist, in the place of another one if there is one; its directory is reserved.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        settings = registration.settings.SerializeToString(deterministic=True)
        text = history.to_json()
        with self._writing():
            if replaced is not None:
                self._take_out(replaced.directory)
            self._connection.execute("DELETE FROM discarded WHERE directory = ?", (registration.directory,))
            self._connection.execute(
                "INSERT INTO collections (name, directory, settings, checksum) VALUES (?, ?, ?, ?)",
                (registration.settings.name, registration.directory, settings, google_crc32c.value(settings)),
            )
            self._connection.execute(
                "INSERT INTO histories (directory, history, checksum) VALUES (?, ?, ?)",
                (registration.directory, text, _checksum(registration.directory, text)),
            )

    def histories(self) -> dict[str, History | ServiceError]:
        """Return where the writes of restored collections come from, by directory of the collection.

        Raises:
            ServiceError: STORAGE_CORRUPT; one that concerns one collection is in its place.
        """
        found: dict[str, History | ServiceError] = {}
        with self._lock, translated(self._path):
            rows = self._connection.execute("SELECT directory, history, checksum FROM histories").fetchall()
        for directory, text, checksum in rows:
            is_whole = checksum == _checksum(directory, text)
            damage = corrupt(self._path, f"history of {directory!r}")
            found[directory] = History.from_json(text) if is_whole else damage
        return found

    def change(
        self, directory: str, settings: collection_pb2.Collection, rebuild: RegisteredRebuild | None = None
    ) -> bool:
        """Replace settings and, if one is given, note a rebuild; returns False if the collection is gone.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        content = settings.SerializeToString(deterministic=True)
        with self._writing():
            changed = self._connection.execute(
                "UPDATE collections SET settings = ?, checksum = ? WHERE directory = ?",
                (content, google_crc32c.value(content), directory),
            ).rowcount
            if changed and rebuild is not None:
                self._connection.execute(
                    "INSERT INTO rebuilds (directory, operation, factory, ef_construction, checksum)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (
                        directory,
                        rebuild.operation_id,
                        rebuild.factory,
                        rebuild.ef_construction,
                        _checksum(directory, rebuild.operation_id, rebuild.factory, rebuild.ef_construction),
                    ),
                )
        return changed > 0

    def rebuilds(self) -> dict[str, RegisteredRebuild]:
        """Return the noted rebuilds, by directory of the collection, without those that are not what was noted.

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        found: dict[str, RegisteredRebuild] = {}
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT directory, operation, factory, ef_construction, checksum FROM rebuilds"
            ).fetchall()
        for *content, checksum in rows:
            directory, operation_id, factory, ef_construction = content
            if checksum != _checksum(*content):
                _LOG.error("%s is damaged: rebuild %r is given up, ask for it again", self._path, operation_id)
                continue
            found[directory] = RegisteredRebuild(operation_id, factory, ef_construction)
        return found

    def end_rebuild(self, directory: str) -> None:
        """Forget a collection's rebuild, if there is one.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._connection.execute("DELETE FROM rebuilds WHERE directory = ?", (directory,))

    def aliases(self) -> dict[str, str | ServiceError]:
        """Return the names of collections by alias.

        Raises:
            ServiceError: STORAGE_CORRUPT; one that concerns one alias is in its place.
        """
        with self._lock, translated(self._path):
            rows = self._connection.execute("SELECT name, collection, checksum FROM aliases ORDER BY name").fetchall()
        return {
            name: collection if checksum == _checksum(name, collection) else _damaged_alias(self._path, name)
            for name, collection, checksum in rows
        }

    def set_alias(self, name: str, collection: str) -> None:
        """Make or move an alias.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO aliases (name, collection, checksum) VALUES (?, ?, ?)",
                (name, collection, _checksum(name, collection)),
            )

    def remove_alias(self, name: str) -> None:
        """Remove an alias.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._connection.execute("DELETE FROM aliases WHERE name = ?", (name,))

    def remove(self, registration: Registration) -> None:
        """Make a collection not exist; its directory may be removed from then on.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._writing():
            self._take_out(registration.directory)

    def discarded(self) -> list[str]:
        """Return the directories of collections that do not exist."""
        with self._lock, translated(self._path):
            return [row[0] for row in self._connection.execute("SELECT directory FROM discarded")]

    def forget(self, directory: str) -> None:
        """Note that a discarded directory is gone."""
        with self._writing():
            self._connection.execute("DELETE FROM discarded WHERE directory = ?", (directory,))

    def _take_out(self, directory: str) -> None:
        for table in ("collections", "rebuilds", "histories"):
            self._connection.execute(f"DELETE FROM {table} WHERE directory = ?", (directory,))
        self._connection.execute("INSERT INTO discarded (directory) VALUES (?)", (directory,))

    @contextmanager
    def _writing(self) -> Generator[None]:
        with self._lock, translated(self._path), transaction(self._connection):
            yield

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _checksum(*content: str | int) -> int:
    return int(google_crc32c.value(json.dumps(content, default=repr).encode()))


def _damaged_alias(path: Path, name: str) -> ServiceError:
    return errors.data_loss(
        "STORAGE_CORRUPT", f"{path} is damaged (alias {name!r}): set the alias again", file=str(path), alias=name
    )
