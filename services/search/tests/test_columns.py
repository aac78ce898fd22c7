"""Columns of values, beside the same tests in Python and in SQL."""

from __future__ import annotations

import json
import operator
import sqlite3
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from picoseek_search.filtering.columns import Column, Stored, empty_column, joined_column
from picoseek_search.filtering.conditions import Field, FieldTest, FieldType, Operator, timestamp_text
from picoseek_search.storage.filter_sql import sql_of

ORDERED: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
# Around the whole numbers that double precision has not, and around the ends of 64 bits.
NEAR = st.sampled_from([1 << 53, -(1 << 53), (1 << 63) - 1, -(1 << 63)]).flatmap(
    lambda middle: st.integers(max(-(1 << 63), middle - 3), min((1 << 63) - 1, middle + 3))
)
REALS = st.floats(allow_nan=False, allow_infinity=False) | NEAR.map(float)
NUMBERS = INTEGERS | NEAR | st.floats(allow_nan=False) | NEAR.map(float)
TIMES = st.builds(Timestamp, seconds=st.integers(-62135596800, 253402300799), nanos=st.integers(0, 999999999)).map(
    timestamp_text
)


def column_of(type_: FieldType, values: list[Stored]) -> Column:
    """Return a column all of whose rows are known."""
    column = empty_column(type_, len(values))
    column.learn(np.arange(len(values)), values)
    return column


def met(column: Column, test: FieldTest, length: int) -> list[bool]:
    """Return what a column says of each row."""
    return column.matches(test, length).tolist()


def exact(value: float) -> Fraction | float:
    """Return a number that compares without rounding."""
    return value if value in (float("inf"), float("-inf")) else Fraction(value)


@pytest.mark.parametrize(("type_", "values"), [(FieldType.INTEGER, INTEGERS | NEAR), (FieldType.REAL, REALS)])
@given(data=st.data())
def test_numbers_compare_exactly_whatever_kind_they_are_of(
    type_: FieldType, values: st.SearchStrategy[float], data: st.DataObject
) -> None:
    mine = data.draw(st.lists(st.none() | values, max_size=8))
    # What is asked for is often there.
    wanted = NUMBERS | st.sampled_from([value for value in mine if value is not None] or [0])
    asked = data.draw(st.lists(wanted, min_size=1, max_size=3))
    field, column = Field("n", type_, True), column_of(type_, mine)
    for comparison, holds in ORDERED.items():
        expected = [value is not None and holds(exact(value), exact(asked[0])) for value in mine]
        assert met(column, FieldTest(field, comparison, (asked[0],)), len(mine)) == expected
    equal = [value is not None and exact(value) in [exact(one) for one in asked] for value in mine]
    assert met(column, FieldTest(field, Operator.EQUAL, tuple(asked)), len(mine)) == equal
    assert met(column, FieldTest(field, Operator.PRESENT, ()), len(mine)) == [value is not None for value in mine]


@given(mine=st.lists(st.none() | TIMES, max_size=8), data=st.data())
def test_times_compare_as_their_texts(mine: list[str | None], data: st.DataObject) -> None:
    asked = data.draw(TIMES | st.sampled_from([value for value in mine if value] or ["0001-01-01T00:00:00.000000000Z"]))
    field, column = Field("t", FieldType.TIME, True), column_of(FieldType.TIME, mine)
    for comparison, holds in ORDERED.items():
        expected = [value is not None and holds(value, asked) for value in mine]
        assert met(column, FieldTest(field, comparison, (asked,)), len(mine)) == expected
    assert met(column, FieldTest(field, Operator.EQUAL, (asked,)), len(mine)) == [value == asked for value in mine]
    assert met(column, FieldTest(field, Operator.PRESENT, ()), len(mine)) == [value is not None for value in mine]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)


@given(mine=st.lists(TEXTS, max_size=8), data=st.data())
def test_texts_of_all_characters_are_ordered_as_sqlite_orders_them(mine: list[str], data: st.DataObject) -> None:
    asked = data.draw(TEXTS | st.sampled_from(mine or [""]).map(lambda text: text[:1]))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE documents (row INTEGER PRIMARY KEY, id TEXT, attributes TEXT)")
    connection.executemany(
        "INSERT INTO documents VALUES (?, ?, ?)",
        ((row, text, json.dumps({"t": text}, ensure_ascii=False)) for row, text in enumerate(mine)),
    )
    column = column_of(FieldType.TEXT, list(mine))
    for comparison in [*ORDERED, Operator.EQUAL, Operator.PREFIX]:
        for field in (Field("t", FieldType.TEXT, True), Field("id", FieldType.TEXT, False)):
            test = FieldTest(field, comparison, (asked,))
            condition = sql_of(test)
            rows = connection.execute(f"SELECT row FROM documents WHERE {condition.text}", condition.parameters)
            found = {row for (row,) in rows}
            assert met(column, test, len(mine)) == [row in found for row in range(len(mine))]
    connection.close()


VALUES: dict[FieldType, st.SearchStrategy[Stored]] = {
    FieldType.TEXT: st.none() | st.sampled_from(["a", "b", "ab"]),
    FieldType.INTEGER: st.none() | st.integers(0, 3),
    FieldType.REAL: st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    FieldType.TRUTH: st.none() | st.sampled_from([0, 1]),
    FieldType.TIME: st.none() | st.sampled_from(["2026-11-24T08:00:00.000000000Z", "2026-11-25T08:00:00.000000000Z"]),
    FieldType.TEXTS: st.none() | st.lists(st.sampled_from("ab"), max_size=3).map(json.dumps),
}
ASKED: dict[FieldType, FieldTest] = {
    FieldType.TEXT: FieldTest(Field("f", FieldType.TEXT, True), Operator.EQUAL, ("a", "ab", "none")),
    FieldType.INTEGER: FieldTest(Field("f", FieldType.INTEGER, True), Operator.LESS, (2,)),
    FieldType.REAL: FieldTest(Field("f", FieldType.REAL, True), Operator.GREATER, (0.25,)),
    FieldType.TRUTH: FieldTest(Field("f", FieldType.TRUTH, True), Operator.EQUAL, (1,)),
    FieldType.TIME: FieldTest(
        Field("f", FieldType.TIME, True), Operator.LESS_OR_EQUAL, ("2026-11-24T08:00:00.000000000Z",)
    ),
    FieldType.TEXTS: FieldTest(Field("f", FieldType.TEXTS, True), Operator.EQUAL, ("a",)),
}


@pytest.mark.parametrize("type_", list(FieldType))
@given(data=st.data())
def test_rows_become_known_bit_by_bit_and_come_along_into_other_columns(type_: FieldType, data: st.DataObject) -> None:
    sources, expected, known = [], [], []
    for _ in range(data.draw(st.integers(1, 3))):
        values = data.draw(st.lists(VALUES[type_], max_size=8))
        column = empty_column(type_, len(values) + 2)
        everything = np.ones(len(values), np.bool_)
        order = data.draw(st.permutations(range(len(values))))
        for row in order:
            assert row in column.unknown(everything)
            column.learn(np.array([row]), [values[row]])
        assert not len(column.unknown(everything))
        assert column.unknown(np.ones(len(values) + 2, np.bool_)).tolist() == [len(values), len(values) + 1]
        assert met(column, ASKED[type_], len(values)) == met(column_of(type_, values), ASKED[type_], len(values))
        # The last two rows are nobody's yet.
        rows = np.array(data.draw(st.lists(st.sampled_from(range(len(values) + 2)), max_size=12)), np.int64)
        sources.append((column, rows))
        expected += [values[row] if row < len(values) else None for row in rows]
        known += [row < len(values) for row in rows]
    joined = joined_column(type_, sources)
    assert joined.unknown(np.ones(len(expected), np.bool_)).tolist() == [
        row for row, is_it in enumerate(known) if not is_it
    ]
    assert met(joined, ASKED[type_], len(expected)) == met(column_of(type_, expected), ASKED[type_], len(expected))
