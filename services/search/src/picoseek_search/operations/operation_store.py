"""Which operations there are and were, on disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from google.protobuf.message import DecodeError
from picoseek_protos.v1 import operation_pb2

from picoseek_search.storage.blob_checksum import blob_checksum
from picoseek_search.storage.sqlite import check_form, connect, corrupt, transaction, translated

_SCHEMA = """
CREATE TABLE operations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    operation BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT
"""


@dataclass(frozen=True)
class StoredOperation:
    """An operation as it was written last."""

    number: int
    """Grows from one operation to the next and is never given twice."""
    operation: operation_pb2.Operation
    """The operation; units done are those of that time."""


class OperationStore:
    """A file with operations. What a method has changed is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._path = path
        self._connection = connect(path, schema=_SCHEMA, create=True)
        try:
            check_form(self._connection, path)
        except BaseException:
            self._connection.close()
            raise
        self._lock = threading.Lock()

    def all(self) -> list[StoredOperation]:
        """Return all operations, oldest first.

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        found: list[StoredOperation] = []
        with self._lock, translated(self._path):
            rows = self._connection.execute(
                "SELECT number, operation, checksum FROM operations ORDER BY number"
            ).fetchall()
        for number, content, checksum in rows:
            try:
                if blob_checksum(content) != checksum:
                    raise corrupt(self._path, f"operation {number}")
                found.append(StoredOperation(number, operation_pb2.Operation.FromString(content)))
            except DecodeError as error:
                raise corrupt(self._path, f"operation {number}") from error
        return found

    def add(self, operation: operation_pb2.Operation) -> int:
        """Write a new operation; returns its number.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        content = operation.SerializeToString(deterministic=True)
        with self._lock, translated(self._path), transaction(self._connection):
            cursor = self._connection.execute(
                "INSERT INTO operations (operation, checksum) VALUES (?, ?) RETURNING number",
                (content, google_crc32c.value(content)),
            )
            return int(cursor.fetchone()[0])

    def change(self, stored: StoredOperation) -> None:
        """Write how an operation stands.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        content = stored.operation.SerializeToString(deterministic=True)
        with self._lock, translated(self._path), transaction(self._connection):
            self._connection.execute(
                "UPDATE operations SET operation = ?, checksum = ? WHERE number = ?",
                (content, google_crc32c.value(content), stored.number),
            )

    def remove(self, number: int) -> None:
        """Forget an operation.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        with self._lock, translated(self._path), transaction(self._connection):
            self._connection.execute("DELETE FROM operations WHERE number = ?", (number,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
