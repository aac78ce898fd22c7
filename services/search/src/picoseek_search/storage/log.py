"""The ordered log of a collection: every write of a shard, in the order in which it is applied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from picoseek_protos.log.v1 import record_pb2

from picoseek_search.storage.record import decode, encode

SCHEMA = """
CREATE TABLE log (
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (shard, sequence)
) STRICT
"""


@dataclass(frozen=True, order=True)
class Revision:
    """A point in the order of writes."""

    epoch: int
    """Life of the log."""
    sequence: int
    """Position in it, from 1; 0: nothing was written yet."""


class Log(Protocol):
    """Where the order of writes is decided and kept."""

    def append(self, record: record_pb2.LogRecord, after: Revision) -> Revision:
        """Give a record its position, behind the shard's record at `after`, and keep it.

        Sets epoch, sequence and previous_sequence of the record.
        """
        ...

    def read(self, shard: int, after: int) -> Iterator[record_pb2.LogRecord]:
        """Yield the shard's kept records behind a position, in order.

        Raises:
            RecordError: a record is damaged.
        """
        ...


class EmbeddedLog:
    """The log of a collection on one node: a table beside the documents, written in the transaction that applies it.

    So a record is durable exactly when it is applied, and there is nothing to replay. The newest records are kept for
    readers that follow.
    """

    def __init__(self, connection: sqlite3.Connection, keep: int) -> None:
        """Use a database.

        Args:
            connection: in whose running transaction records are written.
            keep: newest records of a shard that are kept, at least 1.
        """
        self._connection = connection
        self._keep = keep

    def append(self, record: record_pb2.LogRecord, after: Revision) -> Revision:
        """See Log.append."""
        position = Revision(after.epoch, after.sequence + 1)
        record.epoch, record.sequence, record.previous_sequence = position.epoch, position.sequence, after.sequence
        self._connection.execute(
            "INSERT INTO log (shard, sequence, record) VALUES (?, ?, ?)",
            (record.shard, record.sequence, encode(record)),
        )
        self._connection.execute(
            "DELETE FROM log WHERE shard = ? AND sequence <= ?", (record.shard, record.sequence - self._keep)
        )
        return position

    def read(self, shard: int, after: int) -> Iterator[record_pb2.LogRecord]:
        """See Log.read."""
        rows = self._connection.execute(
            "SELECT record FROM log WHERE shard = ? AND sequence > ? ORDER BY sequence", (shard, after)
        )
        for (content,) in rows:
            yield decode(content)
