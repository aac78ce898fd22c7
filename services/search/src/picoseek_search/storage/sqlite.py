"""SQLite as it is used here: write-ahead log, every commit on disk before it returns."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from picoseek_chassis import errors

from picoseek_search.storage import wal

APPLICATION_ID = 0x7069636F
"""Marks a database as ours ("pico")."""
FORMAT_VERSION = 1
"""Grows with every change of the tables."""
_PAGE_BYTES = 8192
_READER_CACHE_KIB = 256
"""Every write empties the cache of a reader, and what it reads again lies in the operating system's."""
_LOCK_TIMEOUT_S = 30.0
_RETRY_AFTER_FULL_S = 5.0
_FULL = {sqlite3.SQLITE_FULL}
_CORRUPT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    # Statements and rows here are right, so that only a damaged table, column or value lets them fail so.
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
}


def connect(path: Path, *, schema: str, create: bool) -> sqlite3.Connection:
    """Open a database for writing.

    Transactions are explicit. A commit returns when the operating system says that it is on disk (synchronous FULL).

    Args:
        path: the file.
        schema: statements that make its tables, if it has none yet.
        create: make the file if it is not there; else that is an error.

    Raises:
        ServiceError: STORAGE_CORRUPT, also when it was written by a newer version; DISK_FULL.
    """
    cause = wal.damage(path.with_name(f"{path.name}-wal"))
    if cause:
        raise corrupt(path, f"write-ahead log: {cause}")
    with translated(path):
        connection = _open(path, "rwc" if create else "rw")
        try:
            # Counts only before the first table.
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            _ensure_schema(connection, path, schema)
        except BaseException:
            connection.close()
            raise
        return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a database for reading beside its writer."""
    with translated(path):
        connection = _open(path, "ro")
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit on leaving; on an exception nothing has happened."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Turn errors of SQLite that an operator can do something about into answers."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _FULL:
            raise errors.resource_exhausted(
                "DISK_FULL",
                f"there is no room to write {path.name} and nothing was applied; make room and send it again",
                retry_after_s=_RETRY_AFTER_FULL_S,
            ) from error
        # A text that is no UTF-8 is an OperationalError without a code.
        if code in _CORRUPT or (not code and isinstance(error, sqlite3.OperationalError)):
            raise corrupt(path, str(error)) from error
        raise
    except UnicodeDecodeError as error:
        # SQLite's own message names a table or statement whose text is damaged.
        raise corrupt(path, "a text in it is no UTF-8") from error


def check_form(connection: sqlite3.Connection, path: Path) -> None:
    """Read all of a small database and compare its tables with their indexes.

    Raises:
        ServiceError: STORAGE_CORRUPT.
    """
    with translated(path):
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise corrupt(path, found)


def corrupt(path: Path, cause: str) -> errors.ServiceError:
    """Return the error for stored data that is not what was written."""
    cause = " ".join(cause.split())
    return errors.data_loss(
        "STORAGE_CORRUPT",
        f"{path} is damaged ({cause}): restore the collection from a snapshot",
        file=str(path),
        cause=cause,
    )


def _open(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=_LOCK_TIMEOUT_S)


def _ensure_schema(connection: sqlite3.Connection, path: Path, schema: str) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found == FORMAT_VERSION:
        return
    if found != 0:
        raise corrupt(path, f"its format is {found}, this service knows {FORMAT_VERSION}")
    with transaction(connection):
        for statement in schema.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
