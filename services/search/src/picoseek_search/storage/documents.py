"""Documents of a collection."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from picoseek_protos.v1 import document_pb2

from picoseek_search.filtering.columns import Stored
from picoseek_search.filtering.conditions import Field, Value, timestamp_text
from picoseek_search.storage.applied import read_applied
from picoseek_search.storage.blob_checksum import blob_checksum
from picoseek_search.storage.cross_check import cross_check
from picoseek_search.storage.filter_sql import SqlCondition, value_sql
from picoseek_search.storage.log import Revision
from picoseek_search.storage.sqlite import corrupt

SCHEMA = """
CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    vector_checksum INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    labels TEXT NOT NULL,
    attributes TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (shard, id)
) STRICT;
CREATE INDEX documents_by_item ON documents (shard, item);
CREATE TABLE vectors (
    row INTEGER PRIMARY KEY,
    vector BLOB NOT NULL
) STRICT
"""

RowNumbers = NDArray[np.int64]
"""Numbers of documents' versions: given once, ascending, never again; a replaced document gets a new one."""

VectorChecksums = NDArray[np.int64]
"""CRC-32C of vectors."""

NameArray: TypeAlias = NDArray[np.object_]
"""Strings, one a row."""

_IDS_A_STATEMENT = 500
_BY_ID, _BY_ITEM = frozenset({"id"}), frozenset({"item"})
_COLUMNS = "checksum, row, id, item, sequence, labels, attributes, body"
_INSERT = (
    "INSERT INTO documents (row, shard, id, item, sequence, vector_checksum, checksum, labels, attributes, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# json.dumps would make an encoder for each text.
_as_text = json.JSONEncoder(ensure_ascii=False).encode
_as_checked = json.JSONEncoder(default=repr).encode


@dataclass(frozen=True)
class StoredRow:
    """What a search must know of a document's version."""

    row: int
    """Its number."""
    id: str
    """Document.id."""
    item: str
    """Document.item, or the id."""
    vector: bytes
    """Document.vector."""
    vector_checksum: int
    """CRC-32C of the vector."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version of a document as it lies on disk."""

    row: int
    """Its number."""
    id: str
    """Document.id."""
    item: str
    """Document.item, or the id."""
    sequence: int
    """Position of the write that made it."""
    vector_checksum: int
    """CRC-32C of the vector."""
    checksum: int
    """CRC-32C of everything else, and of the vector's."""
    labels: str
    """Document.labels as JSON."""
    attributes: str
    """Document.attributes as JSON."""
    body: bytes
    """The rest of the document."""
    vector: bytes
    """Document.vector."""


@dataclass
class Effect:
    """What a write changed."""

    added: list[StoredRow] = field(default_factory=lambda: list[StoredRow]())
    """New versions, by ascending number."""
    removed: list[int] = field(default_factory=lambda: list[int]())
    """Numbers of versions that are gone."""

    @classmethod
    def of_all(cls, effects: Iterable[Effect]) -> Effect:
        """Return what several writes, one after the other, have changed in the end."""
        together = cls()
        for effect in effects:
            together.added += effect.added
            together.removed += effect.removed
        # What came and went within is of no concern to anybody.
        passing = {stored.row for stored in together.added}.intersection(together.removed)
        return cls(
            [stored for stored in together.added if stored.row not in passing],
            [row for row in together.removed if row not in passing],
        )


@dataclass(frozen=True)
class RowDirectory:
    """All live versions of a shard, by ascending number."""

    rows: RowNumbers
    """Numbers."""
    vector_checksums: VectorChecksums
    """CRC-32C of their vectors."""
    ids: NameArray
    """Document ids."""
    items: NameArray
    """Items; the very object of `ids` where the item is the id."""


class DocumentWriter:
    """Changes documents, in the running transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection, shard: int) -> None:
        self._connection = connection
        self._shard = shard

    def upsert(self, documents: Sequence[document_pb2.Document], sequence: int) -> Effect:
        """Write documents with different ids; each takes the place of the one with its id."""
        effect = self.delete([document.id for document in documents])
        first = self._reserve(len(documents))
        values: list[tuple[Value | bytes, ...]] = []
        for row, document in enumerate(documents, first):
            stored, of_row = _row_values(row, self._shard, document, sequence)
            effect.added.append(stored)
            values.append(of_row)
        self._connection.executemany(_INSERT, values)
        self._connection.executemany(
            "INSERT INTO vectors (row, vector) VALUES (?, ?)", [(stored.row, stored.vector) for stored in effect.added]
        )
        return effect

    def delete(self, ids: Sequence[str]) -> Effect:
        """Remove documents by id."""
        effect = Effect()
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            some = ids[start : start + _IDS_A_STATEMENT]
            condition = SqlCondition(f"id IN ({_marks(len(some))})", tuple(some), _BY_ID)
            effect.removed += self.delete_where(condition).removed
        return effect

    def delete_where(self, condition: SqlCondition) -> Effect:
        """Remove the documents that meet a condition."""
        removed = self._connection.execute(
            f"DELETE FROM {condition.table} WHERE shard = ? AND {condition.text} RETURNING row",
            (self._shard, *condition.parameters),
        ).fetchall()
        self._connection.executemany("DELETE FROM vectors WHERE row = ?", removed)
        return Effect(removed=[row for (row,) in removed])

    def _reserve(self, count: int) -> int:
        (after,) = self._connection.execute(
            "UPDATE applied SET next_row = next_row + ? WHERE shard = ? RETURNING next_row", (count, self._shard)
        ).fetchone()
        return int(after) - count


class DocumentReader:
    """Reads documents as they were when the connection's running transaction began."""

    def __init__(self, connection: sqlite3.Connection, shard: int, path: Path) -> None:
        """Use a connection; `path` is for messages."""
        self._connection = connection
        self._shard = shard
        self._path = path

    @contextmanager
    def snapshot(self) -> Generator[Revision]:
        """Hold one state of the database; yields its revision."""
        self._connection.execute("BEGIN")
        try:
            yield read_applied(self._connection, self._shard, self._path).revision
        finally:
            self._connection.execute("ROLLBACK")

    def by_ids(self, ids: Sequence[str], *, vectors: bool) -> dict[str, document_pb2.Document]:
        """Return those documents that are there, by id."""
        found: dict[str, document_pb2.Document] = {}
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            some = ids[start : start + _IDS_A_STATEMENT]
            condition = SqlCondition(f"id IN ({_marks(len(some))})", tuple(some), _BY_ID)
            for document in self._select(condition, "", (), vectors=vectors):
                found[document.id] = document
        return found

    def page(self, after_id: str, limit: int, condition: SqlCondition, *, vectors: bool) -> list[document_pb2.Document]:
        """Return the first documents by id, behind an id, that meet a condition."""
        # Documents of few items are sorted, others come sorted from the index of ids.
        id_ = "+id" if condition.narrowed_by == _BY_ITEM else "id"
        behind = SqlCondition(f"{id_} > ? AND {condition.text}", (after_id, *condition.parameters), _BY_ID)
        return list(self._select(behind, f"ORDER BY {id_} LIMIT ?", (limit,), vectors=vectors))

    def count(self, condition: SqlCondition) -> tuple[int, int]:
        """Return how many documents meet a condition, and how many items they show."""
        documents, items = self._connection.execute(
            f"SELECT count(*), count(DISTINCT item) FROM {condition.table} WHERE shard = ? AND {condition.text}",
            (self._shard, *condition.parameters),
        ).fetchone()
        return int(documents), int(items)

    def with_attribute(self, name: str) -> tuple[int, str]:
        """Return how many documents have an attribute, and the id of one of them."""
        count, id_ = self._connection.execute(
            "SELECT count(*), min(id) FROM documents NOT INDEXED"
            " WHERE shard = ? AND json_type(attributes, ?) IS NOT NULL",
            (self._shard, f"$.{name}"),
        ).fetchone()
        return int(count), id_ or ""

    def without_attribute(self, name: str) -> tuple[int, str]:
        """Return how many documents lack an attribute, and the id of one of them."""
        count, id_ = self._connection.execute(
            "SELECT count(*), min(id) FROM documents NOT INDEXED WHERE shard = ? AND json_type(attributes, ?) IS NULL",
            (self._shard, f"$.{name}"),
        ).fetchone()
        return int(count), id_ or ""

    def rows_where(self, condition: SqlCondition) -> RowNumbers:
        """Return the numbers of the documents that meet a condition, ascending."""
        rows = self._connection.execute(
            f"SELECT row FROM {condition.table} WHERE shard = ? AND {condition.text} ORDER BY row",
            (self._shard, *condition.parameters),
        )
        return np.fromiter((row for (row,) in rows), dtype=np.int64)

    def field_values(self, field: Field, rows: RowNumbers) -> list[Stored]:
        """Return what some live versions, by ascending number, have as a field.

        Raises:
            ServiceError: STORAGE_CORRUPT, one of them is not there.
        """
        found = dict(
            self._connection.execute(
                f"SELECT row, {value_sql(field)} FROM documents NOT INDEXED WHERE shard = ? AND row BETWEEN ? AND ?",
                (self._shard, int(rows[0]), int(rows[-1])),
            )
        )
        try:
            return [found[row] for row in rows.tolist()]
        except KeyError as missing:
            raise corrupt(self._path, f"row {missing} is not there") from missing

    def directory(self) -> RowDirectory:
        """Return all live versions.

        Raises:
            ServiceError: STORAGE_CORRUPT, one of them is not what was written.
        """
        # Numbers as objects would lie between the names, and keep their memory from being given back.
        rows = array("q")
        checksums = array("q")
        ids: list[str] = []
        items: list[str] = []
        # Of an index SQLite would take what the index holds, and not look at what the table has in its place.
        cursor = self._connection.execute(
            f"SELECT vector_checksum, {_COLUMNS} FROM documents NOT INDEXED WHERE shard = ? ORDER BY row",
            (self._shard,),
        )
        for vector_checksum, checksum, *content in cursor:
            row, id_, item = content[:3]
            if checksum != _checksum(vector_checksum, *content):
                raise corrupt(self._path, f"document {id_!r}")
            rows.append(row)
            checksums.append(vector_checksum)
            ids.append(id_)
            items.append(id_ if item == id_ else item)
        return RowDirectory(
            np.array(rows, np.int64),
            np.array(checksums, np.int64),
            np.array(ids, np.object_),
            np.array(items, np.object_),
        )

    def check(self, directory: RowDirectory) -> None:
        """Compare the database with all live versions, and with itself; see cross_check().

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        rows, ids, items = directory.rows.tolist(), directory.ids.tolist(), directory.items.tolist()
        cross_check(self._connection, self._shard, self._path, rows, ids, items)

    def vector(self, row: int) -> bytes:
        """Return one version's vector.

        Raises:
            ServiceError: STORAGE_CORRUPT, it is not what was written.
        """
        found = self._connection.execute(
            "SELECT vector, vector_checksum FROM vectors JOIN documents USING (row) WHERE row = ?", (row,)
        ).fetchone()
        if found is None or blob_checksum(found[0]) != found[1]:
            raise corrupt(self._path, f"vector of row {row}")
        return bytes(found[0])

    def next_row(self) -> int:
        """Return the number that the next version gets."""
        (row,) = self._connection.execute("SELECT next_row FROM applied WHERE shard = ?", (self._shard,)).fetchone()
        return int(row)

    def versions(self, first: int, last: int) -> Iterator[StoredVersion]:
        """Yield the live versions of some numbers, ascending.

        Args:
            first: the smallest number.
            last: the largest number.

        Raises:
            ServiceError: STORAGE_CORRUPT, one of them is not what was written.
        """
        cursor = self._connection.execute(
            "SELECT row, id, item, sequence, vector_checksum, checksum, labels, attributes, body, vector"
            " FROM documents NOT INDEXED LEFT JOIN vectors USING (row)"
            " WHERE shard = ? AND row BETWEEN ? AND ? ORDER BY row",
            (self._shard, first, last),
        )
        for row in cursor:
            one = StoredVersion(*row)
            checksum = _checksum(
                one.vector_checksum, one.row, one.id, one.item, one.sequence, one.labels, one.attributes, one.body
            )
            if checksum != one.checksum or blob_checksum(one.vector) != one.vector_checksum:
                raise corrupt(self._path, f"document {one.id!r}")
            yield one

    def _select(
        self, condition: SqlCondition, order: str, more: tuple[Value, ...], *, vectors: bool
    ) -> Iterator[document_pb2.Document]:
        cursor = self._connection.execute(
            f"SELECT vector_checksum, {_COLUMNS} FROM {condition.table} WHERE shard = ? AND {condition.text} {order}",
            (self._shard, *condition.parameters, *more),
        )
        for vector_checksum, checksum, *content in cursor:
            row, id_, item, _, _, _, body = content
            if checksum != _checksum(vector_checksum, *content):
                raise corrupt(self._path, f"document {id_!r}")
            document = document_pb2.Document.FromString(body)
            document.id, document.item = id_, item
            if vectors:
                document.vector = self.vector(row)
            yield document


def _row_values(
    row: int, shard: int, document: document_pb2.Document, sequence: int
) -> tuple[StoredRow, tuple[Value | bytes, ...]]:
    """Return a new version, and the values of its row in the order of _INSERT."""
    vector = document.vector
    body = document_pb2.Document()
    body.CopyFrom(document)
    for name in ("id", "item", "vector"):
        body.ClearField(name)
    content = body.SerializeToString(deterministic=True)
    id_ = document.id
    # One string for both: there are as many of them in memory as there are documents.
    item = id_ if document.item in ("", id_) else document.item
    labels = _as_text(list(document.labels))
    attributes = _as_text(_attributes(document))
    stored = StoredRow(row, id_, item, vector, google_crc32c.value(vector))
    checksum = _checksum(stored.vector_checksum, row, id_, item, sequence, labels, attributes, content)
    values = (row, shard, id_, item, sequence, stored.vector_checksum, checksum, labels, attributes, content)
    return stored, values


def _attributes(document: document_pb2.Document) -> dict[str, object]:
    return {name: _attribute(value) for name, value in document.attributes.items()}


def _attribute(value: document_pb2.AttributeValue) -> object:
    match value.WhichOneof("kind"):
        case "timestamp_value":
            return timestamp_text(value.timestamp_value)
        case "string_list":
            return list(value.string_list.values)
        case None:
            return None
        case kind:
            return getattr(value, kind)


def _checksum(
    vector_checksum: int, row: int, id_: str, item: str, sequence: int, labels: str, attributes: str, body: bytes
) -> int:
    # What is damaged may be of another type: then it is of another checksum, too.
    header = _as_checked([vector_checksum, row, id_, item, sequence, labels, attributes]).encode()
    return blob_checksum(body, header)


def _marks(count: int) -> str:
    return ", ".join("?" * count)
