"""Puts the database of a collection together from segments."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from picoseek_search.storage.database import SCHEMA
from picoseek_search.storage.documents import RowNumbers
from picoseek_search.storage.log import Revision
from picoseek_search.storage.row_segment import REQUESTS, VERSIONS
from picoseek_search.storage.sqlite import connect, translated


class RestoredDatabase:
    """A database that nobody uses yet. Until finish() has returned it is worth nothing; a crash may leave anything."""

    def __init__(self, path: Path, shard: int) -> None:
        """Make the file.

        Raises:
            ServiceError: DISK_FULL.
        """
        self._path = path
        self._shard = shard
        self._connection = connect(path, schema=SCHEMA, create=True)
        # What is written here is of no value before it is complete; finish() makes it last.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TEMPORARY TABLE live (row INTEGER PRIMARY KEY)")

    def add_versions(self, segment: bytes, live: RowNumbers) -> int:
        """Put in those documents of a segment that are live; returns how many.

        Raises:
            ServiceError: DISK_FULL, or STORAGE_CORRUPT, the segment is none.
        """
        with self._attached(segment) as connection:
            connection.execute("DELETE FROM temp.live")
            connection.executemany("INSERT INTO temp.live VALUES (?)", ((row,) for row in live.tolist()))
            added = connection.execute(
                "INSERT INTO main.documents"
                " (row, shard, id, item, sequence, vector_checksum, checksum, labels, attributes, body)"
                " SELECT row, ?, id, item, sequence, vector_checksum, checksum, labels, attributes, body"
                f" FROM segment.{VERSIONS} JOIN temp.live USING (row) ORDER BY row",
                (self._shard,),
            ).rowcount
            connection.execute(
                "INSERT INTO main.vectors (row, vector)"
                f" SELECT row, vector FROM segment.{VERSIONS} JOIN temp.live USING (row) ORDER BY row"
            )
        return added

    def add_requests(self, segment: bytes, first: int) -> None:
        """Put in those applied requests of a segment whose sequence is not before `first`.

        Raises:
            ServiceError: DISK_FULL, or STORAGE_CORRUPT, the segment is none.
        """
        with self._attached(segment) as connection:
            connection.execute(
                "INSERT INTO main.requests"
                " (shard, request_id, content, epoch, sequence, inserted, replaced, deleted)"
                " SELECT ?, request_id, content, epoch, sequence, inserted, replaced, deleted"
                f" FROM segment.{REQUESTS} WHERE sequence >= ?",
                (self._shard, first),
            )

    def finish(self, revision: Revision, next_row: int) -> None:
        """Note what was applied to it, and return when all of it is on disk; nothing can be put in any more.

        Raises:
            ServiceError: DISK_FULL.
        """
        with translated(self._path):
            self._connection.execute(
                "INSERT INTO applied (shard, epoch, sequence, next_row) VALUES (?, ?, ?, ?)",
                (self._shard, revision.epoch, revision.sequence, next_row),
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.close()
        for path in (self._path, self._path.parent):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _attached(self, segment: bytes) -> Generator[sqlite3.Connection]:
        with translated(self._path):
            self._connection.execute("ATTACH ':memory:' AS segment")
            try:
                self._connection.deserialize(segment, name="segment")
                self._connection.execute("BEGIN")
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._connection.execute("DETACH segment")
