"""Answers to writes that were applied, so that a repeated one is answered as before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from picoseek_search.storage.log import Revision

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
        self._connection.execute(
            "INSERT INTO requests (shard, request_id, content, epoch, sequence, inserted, replaced, deleted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                shard,
                request_id,
                applied.content,
                revision.epoch,
                revision.sequence,
                counts.inserted,
                counts.replaced,
                counts.deleted,
            ),
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
