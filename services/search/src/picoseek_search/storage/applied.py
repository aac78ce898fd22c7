"""How far a shard has come."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from picoseek_search.storage.log import Revision
from picoseek_search.storage.sqlite import corrupt

SCHEMA = """
CREATE TABLE applied (
    shard INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    next_row INTEGER NOT NULL,
    checksum INTEGER
) STRICT
"""


@dataclass(frozen=True)
class Applied:
    """What was applied to a shard."""

    revision: Revision
    """The newest."""
    next_row: int
    """Number that the next version of a document gets."""


def begin_shard(connection: sqlite3.Connection, shard: int) -> None:
    """Make a shard to which nothing is applied yet."""
    connection.execute(
        "INSERT INTO applied (shard, epoch, sequence, next_row, checksum) VALUES (?, 1, 0, 1, ?)",
        (shard, _checksum(shard, 1, 0, 1)),
    )


def mark_applied(connection: sqlite3.Connection, shard: int, revision: Revision) -> None:
    """Note the newest revision, last of all in a transaction: it puts the checksum of the row right."""
    (next_row,) = connection.execute("SELECT next_row FROM applied WHERE shard = ?", (shard,)).fetchone()
    connection.execute(
        "UPDATE applied SET epoch = ?, sequence = ?, checksum = ? WHERE shard = ?",
        (
            revision.epoch,
            revision.sequence,
            _checksum(shard, revision.epoch, revision.sequence, next_row),
            shard,
        ),
    )


def read_applied(connection: sqlite3.Connection, shard: int, path: Path) -> Applied:
    """Return what was applied.

    Raises:
        ServiceError: STORAGE_CORRUPT; `path` is for its message.
    """
    found = connection.execute(
        "SELECT epoch, sequence, next_row, checksum FROM applied WHERE shard = ?", (shard,)
    ).fetchone()
    # There is no checksum until the first write where a snapshot was restored or an earlier version has made the row.
    if found is None or found[3] not in (None, _checksum(shard, *found[:3])):
        raise corrupt(path, "revision")
    return Applied(Revision(found[0], found[1]), found[2])


def _checksum(*content: int) -> int:
    return int(google_crc32c.value(json.dumps(content).encode()))
