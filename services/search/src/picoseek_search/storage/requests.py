"""Answers to writes that were applied, so that a repeated one is answered as before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from picoseek_search.storage.log import Revision
from picoseek_search.storage.sqlite import corrupt

SCHEMA = """
CREATE TABLE requests (
    shard INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    content BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    replaced INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    checksum INTEGER,
    PRIMARY KEY (shard, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_sequence ON requests (shard, sequence)
"""


@dataclass(frozen=True)
class WriteCounts:
    """What a write did."""

    inserted: int = 0
    """Documents that were new."""
    replaced: int = 0
    """Documents that took another one's place."""
    deleted: int = 0
    """Documents that are gone."""


@dataclass(frozen=True)
class AppliedRequest:
    """A write that was applied."""

    content: bytes
    """Digest of what it asked for."""
    revision: Revision
    """Where it stands in the order of writes."""
    counts: WriteCounts
    """What it did."""


class RequestTable:
    """The newest applied writes of a collection, by shard and request id."""

    def __init__(self, connection: sqlite3.Connection, keep: int) -> None:
        """Use a database, in whose running transaction writes are noted; the newest `keep` of a shard are kept."""
        self._connection = connection
        self._keep = keep

    def find(self, shard: int, request_id: str) -> AppliedRequest | None:
        """Return the write that was applied under an id, if it is still known."""
        row = self._connection.execute(
            "SELECT content, epoch, sequence, inserted, replaced, deleted FROM requests"
            " WHERE shard = ? AND request_id = ?",
            (shard, request_id),
        ).fetchone()
        return None if row is None else AppliedRequest(row[0], Revision(row[1], row[2]), WriteCounts(*row[3:]))

    def add(self, shard: int, request_id: str, applied: AppliedRequest) -> None:
        """Note a write, and forget those that are too old."""
        counts, revision = applied.counts, applied.revision
        content = (
            shard,
            request_id,
            applied.content,
            revision.epoch,
            revision.sequence,
            counts.inserted,
            counts.replaced,
            counts.deleted,
        )
        self._connection.execute(
            "INSERT INTO requests (shard, request_id, content, epoch, sequence, inserted, replaced, deleted, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*content, _checksum(*content)),
        )
        self._connection.execute(
            "DELETE FROM requests WHERE shard = ? AND sequence <= ?", (shard, revision.sequence - self._keep)
        )


def applied_requests(
    connection: sqlite3.Connection, shard: int, first: int, last: int
) -> Iterator[tuple[str, AppliedRequest]]:
    """Yield the remembered writes of some sequences with their ids, ascending."""
    rows = connection.execute(
        "SELECT request_id, content, epoch, sequence, inserted, replaced, deleted FROM requests"
        " WHERE shard = ? AND sequence BETWEEN ? AND ? ORDER BY sequence",
        (shard, first, last),
    )
    for row in rows:
        yield row[0], AppliedRequest(row[1], Revision(row[2], row[3]), WriteCounts(*row[4:]))


def first_request(connection: sqlite3.Connection, shard: int) -> int | None:
    """Return the smallest remembered sequence, or None if there is none."""
    (found,) = connection.execute("SELECT min(sequence) FROM requests WHERE shard = ?", (shard,)).fetchone()
    return None if found is None else int(found)


def check_requests(connection: sqlite3.Connection, shard: int, path: Path, newest: int) -> None:
    """Check that every remembered write is what was noted, and none between the oldest and the newest is missing.

    Args:
        connection: in a transaction.
        shard: its number.
        path: the file, for messages.
        newest: sequence that was applied last.

    Raises:
        ServiceError: STORAGE_CORRUPT.
    """
    by_id = connection.execute(
        "SELECT shard, request_id, content, epoch, sequence, inserted, replaced, deleted, checksum"
        " FROM requests WHERE shard = ? ORDER BY request_id",
        (shard,),
    ).fetchall()
    for *content, checksum in by_id:
        # There is none where a snapshot was restored or an earlier version has made the row.
        if checksum is not None and checksum != _checksum(*content):
            raise corrupt(path, f"request {content[1]!r}")
    by_sequence = connection.execute(
        "SELECT sequence, request_id FROM requests INDEXED BY requests_by_sequence WHERE shard = ? ORDER BY sequence",
        (shard,),
    ).fetchall()
    ids = [row[1] for row in by_id]
    sequences = [row[0] for row in by_sequence]
    if (
        ids != sorted(ids)
        or sorted((row[4], row[1]) for row in by_id) != by_sequence
        or sequences != list(range(newest + 1 - len(sequences), newest + 1))
        or (newest > 0 and not sequences)
    ):
        raise corrupt(path, "requests")


def _checksum(*content: int | str | bytes) -> int:
    return int(google_crc32c.value(json.dumps(content, default=repr).encode()))
