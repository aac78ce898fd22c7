"""Compares the tables of a collection's database with each other, and with their checksums.

SQLite notices a changed bit only where it breaks the form of a page. One that moves a key in an index, or shortens the
list of cells in a page, hides rows from statements that go that way and from no others, so both ways are gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from picoseek_search.storage.applied import read_applied
from picoseek_search.storage.requests import check_requests
from picoseek_search.storage.sqlite import corrupt

_BY_ID = "SELECT id, row FROM documents INDEXED BY sqlite_autoindex_documents_1 WHERE shard = ? ORDER BY id"
_BY_ITEM = "SELECT item, row FROM documents INDEXED BY documents_by_item WHERE shard = ? ORDER BY item, row"


def cross_check(
    connection: sqlite3.Connection,
    shard: int,
    path: Path,
    rows: Sequence[int],
    ids: Sequence[str],
    items: Sequence[str],
) -> None:
    """Check what has no checksum of its own, or may be hidden.

    Args:
        connection: in the transaction in which the rest was read.
        shard: its number.
        path: the file, for messages.
        rows: numbers of all live documents, ascending.
        ids: their ids.
        items: their items.

    Raises:
        ServiceError: STORAGE_CORRUPT.
    """
    for query, names in ((_BY_ID, ids), (_BY_ITEM, items)):
        # As sets, and in an order that a search within the index can rely on.
        if connection.execute(query, (shard,)).fetchall() != sorted(zip(names, rows, strict=True)):
            raise corrupt(path, "an index of documents does not hold what the table does")
    applied = read_applied(connection, shard, path)
    if rows and rows[-1] >= applied.next_row:
        raise corrupt(path, "a document is newer than the number that the next one gets")
    (newest,) = connection.execute(
        "SELECT max(sequence) FROM documents NOT INDEXED WHERE shard = ?", (shard,)
    ).fetchone()
    if newest is not None and newest > applied.revision.sequence:
        raise corrupt(path, "a document is newer than the write that was applied last")
    check_requests(connection, shard, path, applied.revision.sequence)
