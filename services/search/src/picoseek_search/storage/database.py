"""The database of one collection: one writer, any number of readers beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from picoseek_chassis.errors import ServiceError

from picoseek_search.storage import applied, documents, log, requests
from picoseek_search.storage.documents import DocumentReader
from picoseek_search.storage.sqlite import connect, connect_reader, translated

SCHEMA = ";".join([applied.SCHEMA, documents.SCHEMA, requests.SCHEMA, log.SCHEMA])
"""Statements that make the tables of a collection."""
_IDLE_READERS = 4


class CollectionDatabase:
    """A file with the tables of a collection, and its connections."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open the file, or make it if it may be new.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._path = path
        self._writer = connect(path, schema=SCHEMA, create=create)
        try:
            with translated(path):
                _add_checksums(self._writer)
        except BaseException:
            self._writer.close()
            raise
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed: Callable[[], ServiceError] | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def writer(self) -> sqlite3.Connection:
        """The connection for writing; one thread at a time."""
        return self._writer

    @contextmanager
    def reader(self, shard: int) -> Generator[DocumentReader]:
        """Lend a reader of a shard's documents.

        Raises:
            ServiceError: STORAGE_CORRUPT, or what was given to close().
        """
        with self.connection() as connection:
            yield DocumentReader(connection, shard, self._path)

    @contextmanager
    def connection(self) -> Generator[sqlite3.Connection]:
        """Lend a connection for reading.

        Raises:
            ServiceError: STORAGE_CORRUPT, or what was given to close().
        """
        with translated(self._path):
            connection = self._take()
            try:
                yield connection
            except sqlite3.Error:
                connection.close()
                raise
            except BaseException:
                self._give(connection)
                raise
            self._give(connection)

    def close(self, answer: Callable[[], ServiceError]) -> None:
        """Close the file; readers that are lent out end when given back, new ones are refused with `answer`."""
        with self._lock:
            self._closed = answer
            idle, self._idle = self._idle, []
        for connection in [*idle, self._writer]:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed is not None:
                raise self._closed()
            if self._idle:
                return self._idle.pop()
        return connect_reader(self._path)

    def _give(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if self._closed is None and len(self._idle) < _IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()


def _add_checksums(connection: sqlite3.Connection) -> None:
    """Give the tables of earlier versions the columns that they lack."""
    for table in ("applied", "requests"):
        (found,) = connection.execute(
            "SELECT count(*) FROM pragma_table_info(?) WHERE name = 'checksum'", (table,)
        ).fetchone()
        if not found:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
