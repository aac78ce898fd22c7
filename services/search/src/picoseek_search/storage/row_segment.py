"""Rows of a collection in a small database of their own, which can be kept anywhere and put back."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager

from picoseek_search.storage.documents import StoredVersion
from picoseek_search.storage.requests import AppliedRequest

VERSIONS = "versions"
"""Table of a segment of documents."""
REQUESTS = "requests"
"""Table of a segment of applied requests."""

_PAGE_BYTES = 65536
"""The largest: a row of some kilobytes would waste half of a small page."""
_VERSIONS_SCHEMA = """
CREATE TABLE versions (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    vector_checksum INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    labels TEXT NOT NULL,
    attributes TEXT NOT NULL,
    body BLOB NOT NULL,
    vector BLOB NOT NULL
) STRICT
"""
_REQUESTS_SCHEMA = """
CREATE TABLE requests (
    sequence INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    content BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    replaced INTEGER NOT NULL,
    deleted INTEGER NOT NULL
) STRICT
"""


def versions_segment(versions: Iterable[StoredVersion]) -> bytes:
    """Return documents as the bytes of a database."""
    with _memory(_VERSIONS_SCHEMA) as connection:
        connection.executemany(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.row,
                    one.id,
                    one.item,
                    one.sequence,
                    one.vector_checksum,
                    one.checksum,
                    one.labels,
                    one.attributes,
                    one.body,
                    one.vector,
                )
                for one in versions
            ),
        )
        connection.execute("COMMIT")
        return connection.serialize()


def requests_segment(requests: Iterable[tuple[str, AppliedRequest]]) -> bytes:
    """Return applied requests, with their ids, as the bytes of a database."""
    with _memory(_REQUESTS_SCHEMA) as connection:
        connection.executemany(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.revision.sequence,
                    request_id,
                    one.content,
                    one.revision.epoch,
                    one.counts.inserted,
                    one.counts.replaced,
                    one.counts.deleted,
                )
                for request_id, one in requests
            ),
        )
        connection.execute("COMMIT")
        return connection.serialize()


@contextmanager
def _memory(schema: str) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute(schema)
        connection.execute("BEGIN")
        yield connection
