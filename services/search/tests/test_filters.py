"""The filter language, on paper and over stored documents."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_protos.v1 import collection_pb2, document_pb2
from picoseek_search.filtering.conditions import Field, FieldType, read_filter
from picoseek_search.filtering.filter_syntax import FilterError
from picoseek_search.storage import applied, documents
from picoseek_search.storage.applied import begin_shard
from picoseek_search.storage.documents import DocumentReader, DocumentWriter
from picoseek_search.storage.filter_sql import sql_of

SCHEMA = {
    "colour": collection_pb2.ATTRIBUTE_TYPE_STRING,
    "count": collection_pb2.ATTRIBUTE_TYPE_INT,
    "price": collection_pb2.ATTRIBUTE_TYPE_DOUBLE,
    "new": collection_pb2.ATTRIBUTE_TYPE_BOOL,
    "seen": collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP,
    "sizes": collection_pb2.ATTRIBUTE_TYPE_STRING_LIST,
}


def value(kind: str, content: object) -> document_pb2.AttributeValue:
    return document_pb2.AttributeValue(**{kind: content})


SHELF = [
    document_pb2.Document(
        id="a1",
        item="shoe",
        labels=["red shoe", "Schuh"],
        attributes={
            "colour": value("string_value", "red"),
            "count": value("int_value", 9007199254740993),
            "price": value("double_value", 19.5),
            "new": value("bool_value", True),
            "seen": value("timestamp_value", Timestamp(seconds=1795508000, nanos=5)),
            "sizes": value("string_list", document_pb2.StringList(values=["S", "M"])),
        },
    ),
    document_pb2.Document(
        id="a2*",
        item="shoe",
        labels=['say "hi"', "back\\slash"],
        attributes={
            "colour": value("string_value", "dark red"),
            "count": value("int_value", -3),
            "price": value("double_value", 1e30),
            "new": value("bool_value", False),
            "seen": value("timestamp_value", Timestamp(seconds=-62135596800)),
            "sizes": value("string_list", document_pb2.StringList(values=["L"])),
        },
    ),
    document_pb2.Document(id="b1", labels=["AND"]),
]

CASES = [
    ("", "a1 a2* b1"),
    ("  ", "a1 a2* b1"),
    ('id = "a1"', "a1"),
    ("id=a1", "a1"),
    ("id != a1", "a2* b1"),
    ('id = "a*"', "a1 a2*"),
    (r'id = "a2\*"', "a2*"),
    ('id >= "a2"', "a2* b1"),
    ("item = shoe", "a1 a2*"),
    ("item = b1", "b1"),
    ('labels:"red shoe"', "a1"),
    ("labels = 'Schuh'", "a1"),
    ("labels:red*", "a1"),
    ('labels != "Schuh"', "a2* b1"),
    (r'labels:"say \"hi\""', "a2*"),
    (r'labels:"back\\slash"', "a2*"),
    ('labels:"AND"', "b1"),
    ("attributes.colour = red", "a1"),
    ('attributes.colour = "dark*"', "a2*"),
    ("attributes.colour != red", "a2* b1"),
    ("attributes.colour:*", "a1 a2*"),
    ("NOT attributes.colour:*", "b1"),
    ("attributes.count = 9007199254740993", "a1"),
    ("attributes.count = 9007199254740992", ""),
    ("attributes.count < 0", "a2*"),
    ("attributes.count > -3.5", "a1 a2*"),
    ("attributes.price <= 19.5", "a1"),
    ("attributes.price > 1e29", "a2*"),
    ("attributes.price = 19.5", "a1"),
    ("attributes.new = true", "a1"),
    ("attributes.new != true", "a2* b1"),
    ('attributes.seen >= "2026-11-24T00:00:00Z"', "a1"),
    ('attributes.seen < "1970-01-01T00:00:00Z"', "a2*"),
    ('attributes.seen = "2026-11-24T08:13:20.000000005Z"', "a1"),
    ("attributes.sizes:M", "a1"),
    ("attributes.sizes:*", "a1 a2*"),
    ("attributes.sizes != M", "a2* b1"),
    ("id = a1 OR id = b1", "a1 b1"),
    ("item = shoe AND NOT id = a1", "a2*"),
    ("(id = a1 OR id = b1) AND labels:AND*", "b1"),
    ("NOT (id = a1 OR id = b1)", "a2*"),
    ("id IN (a1)", "a1"),
    ('id IN (a1,"b1",  nobody)', "a1 b1"),
    ('id IN ("a*", b1)', "a1 a2* b1"),
    (r"id IN ('a2\*')", "a2*"),
    ("NOT id IN (a1, b1)", "a2*"),
    ('item IN (shoe, "sho,e") AND NOT id = a1', "a2*"),
    ('labels IN ("red shoe", "AND")', "a1 b1"),
    ("labels IN (red*, back*)", "a1 a2*"),
    ("attributes.colour IN (red, green)", "a1"),
    ("NOT attributes.colour IN (red, green)", "a2* b1"),
    ("attributes.count IN (-3, 9007199254740993)", "a1 a2*"),
    ("attributes.count IN (-3.0)", "a2*"),
    ("attributes.price IN (19.5, 1e30, 7)", "a1 a2*"),
    ("attributes.new IN (true)", "a1"),
    ("attributes.new IN (true, false)", "a1 a2*"),
    ('attributes.seen IN ("2026-11-24T08:13:20.000000005Z", "2026-11-24T00:00:00Z")', "a1"),
    ("attributes.sizes IN (M, XL)", "a1"),
    ("id IN (" + ",".join(["x"] * 2000) + ")", ""),
    ("id = IN", ""),
    ("id = a,b", ""),
    ('id = "\'; DROP TABLE documents; --"', ""),
]

BAD = [
    ("colour = red", "no field"),
    ("attributes.weight = 3", "no attribute 'weight'"),
    ("id", "too early"),
    ("id =", "too early"),
    ("id ~ a", "instead of one of"),
    ("id = AND", "where the value of id belongs"),
    ("id IN a1", "a list like"),
    ("id IN ()", "where the value of id belongs"),
    ("id IN (a1", "too early"),
    ("id IN (a1 b1)", "where a comma or"),
    ("id IN (a1,)", "where the value of id belongs"),
    ("id IN (a1, OR)", "where the value of id belongs"),
    ("id IN (a*b)", "may stand at the end only"),
    ("id IN (" + ",".join(["a*"] * 101) + ")", "more than 100 comparisons"),
    ("attributes.count IN (1, many)", "'many' is not"),
    ("attributes.new IN (true, 1)", "not '1'"),
    ("id = )", "where the value of id belongs"),
    ("id = a1 id = b1", "not expected"),
    ("id = a AND id = b OR id = c", "parentheses"),
    ("(id = a", "too early"),
    ('id in (a, "b")', "write IN in capitals"),
    ("id = a and id = b", "write AND in capitals"),
    ("(id = a Or id = b)", "write OR in capitals"),
    ("not id = a", "write NOT in capitals"),
    ("NOT NOT id = a", "NOT stands twice"),
    ('id NOT IN (a, "b")', 'NOT id IN (a, "b")'),
    ("id not in (a)", "NOT id IN"),
    ('id = "a', "cannot read"),
    ('id = "*a"', "at the end only"),
    ('id = "a*b*"', "at the end only"),
    ('id < "a*"', "does not go with <"),
    ("labels < a", "several texts"),
    ("attributes.count = many", "is a number"),
    ("attributes.count = 1*", "holds no text"),
    ("attributes.count = 1e999999", "is a number"),
    ("attributes.new = yes", "true or false"),
    ("attributes.seen > yesterday", "is a time"),
    ("(" * 30 + "id = a" + ")" * 30, "deeper than 16"),
    (" OR ".join(["id = a"] * 101), "more than 100"),
    ("id = " + "a" * 5000, "at most 4096"),
]


@pytest.fixture(scope="module")
def shelf() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(f"{applied.SCHEMA};{documents.SCHEMA}")
    begin_shard(connection, 0)
    writer = DocumentWriter(connection, 0)
    writer.upsert(SHELF, 1)
    return connection


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_finds(shelf: sqlite3.Connection, text: str, expected: str) -> None:
    condition = sql_of(read_filter(text, SCHEMA))
    found = shelf.execute(f"SELECT id FROM documents WHERE {condition.text} ORDER BY id", condition.parameters)
    assert [row[0] for row in found] == expected.split()


PLANS = [
    ("item = shoe", "SEARCH documents USING COVERING INDEX documents_by_item (shard=? AND item=?)"),
    ("item IN (shoe, b1)", "SEARCH documents USING COVERING INDEX documents_by_item (shard=? AND item=?)"),
    ('item = "sh*"', "SEARCH documents USING COVERING INDEX documents_by_item (shard=? AND item>? AND item<?)"),
    ("id >= a2", "SEARCH documents USING COVERING INDEX sqlite_autoindex_documents_1 (shard=? AND id>?)"),
    ("item = shoe AND labels:x", "SEARCH documents USING INDEX documents_by_item (shard=? AND item=?)"),
    ("labels:x", "SCAN documents"),
    ("attributes.count = 1", "SCAN documents"),
    ("item = shoe OR labels:x", "SCAN documents"),
    ("NOT item = shoe", "SCAN documents"),
]


@pytest.mark.parametrize(("text", "plan"), PLANS)
def test_ids_and_items_are_looked_up_and_the_rest_is_passed_over_once(
    shelf: sqlite3.Connection, text: str, plan: str
) -> None:
    assert _plans(shelf, lambda reader: reader.rows_where(sql_of(read_filter(text, SCHEMA))))[0] == plan


def test_a_range_of_versions_is_looked_up_by_number(shelf: sqlite3.Connection) -> None:
    by_number = "SEARCH documents USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert _plans(shelf, lambda reader: list(reader.versions(1, 2)))[0] == by_number
    labels = Field("labels", FieldType.TEXTS, False)
    assert _plans(shelf, lambda reader: reader.field_values(labels, np.array([1, 2])))[0] == by_number


def test_a_page_of_an_item_does_not_pass_over_the_others(shelf: sqlite3.Connection) -> None:
    def page(text: str) -> Callable[[DocumentReader], object]:
        return lambda reader: reader.page("a", 10, sql_of(read_filter(text, SCHEMA)), vectors=False)

    by_item, by_id = _plans(shelf, page("item = shoe")), _plans(shelf, page("labels:x"))
    assert by_item[0] == "SEARCH documents USING INDEX documents_by_item (shard=? AND item=?)"
    assert by_id[0] == "SEARCH documents USING INDEX sqlite_autoindex_documents_1 (shard=? AND id>?)"
    assert "USE TEMP B-TREE FOR ORDER BY" in by_item and "USE TEMP B-TREE FOR ORDER BY" not in by_id


def _plans(shelf: sqlite3.Connection, work: Callable[[DocumentReader], object]) -> list[str]:
    """Return what SQLite does with the last statement of some work."""
    statements: list[str] = []
    shelf.set_trace_callback(statements.append)
    work(DocumentReader(shelf, 0, Path("shelf")))
    shelf.set_trace_callback(None)
    wanted = next(one for one in reversed(statements) if "FROM documents" in one)
    return [row[3] for row in shelf.execute(f"EXPLAIN QUERY PLAN {wanted}")]


@pytest.mark.parametrize(("text", "cause"), BAD, ids=[cause for _, cause in BAD])
def test_refuses(text: str, cause: str) -> None:
    with pytest.raises(FilterError, match=re.escape(cause)):
        read_filter(text, SCHEMA)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("  colour = red", 3),
        ("id = a AND id", 12),
        ("id = a1 id = b1", 9),
        ('id = a OR id = "b', 16),
        ("id = a OR (id = b AND item IN (c d))", 34),
        ("(id = a", 7),
        ("id = a AND id = b OR id = c", 19),
        (" OR ".join(["id = a"] * 101), 1004),
    ],
)
def test_says_where(text: str, place: int) -> None:
    with pytest.raises(FilterError, match=rf"\(at character {place}\)$"):
        read_filter(text, SCHEMA)
    if '"' in text:
        with pytest.raises(FilterError, match="quote is not closed"):
            read_filter(text, SCHEMA)
