"""Filters as SQL conditions over the table of documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from google.protobuf import timestamp_pb2
from picoseek_protos.v1 import collection_pb2

from picoseek_search.storage.filter_syntax import Comparison, Condition, FilterError, Membership, Not, parse

Schema: TypeAlias = Mapping[str, int]
"""AttributeType of each attribute, by name."""

Value: TypeAlias = str | int | float

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class SqlCondition:
    """An expression that is 1 for documents that meet a filter and 0 for the others, and its parameters."""

    text: str
    """SQL with a "?" for each parameter."""
    parameters: tuple[Value, ...]
    """Values, in order."""


ALWAYS = SqlCondition("1", ())
"""Met by every document."""


def compile_filter(text: str, schema: Schema) -> SqlCondition:
    """Read a filter; empty is met by every document.

    A document without an attribute meets no comparison of it except "!=".

    Raises:
        FilterError: it is no filter, or names an attribute or a value that the schema does not allow.
    """
    return _condition(parse(text), schema) if text.strip() else ALWAYS


def timestamp_text(value: timestamp_pb2.Timestamp) -> str:
    """Return a time as text that sorts by time: 2026-11-24T08:00:00.000000000Z."""
    seconds = datetime.fromtimestamp(value.seconds, UTC).replace(tzinfo=None).isoformat()
    return f"{seconds}.{value.nanos:09d}Z"


def _condition(condition: Condition, schema: Schema) -> SqlCondition:
    if isinstance(condition, Comparison):
        return _comparison(condition, schema)
    if isinstance(condition, Membership):
        return _membership(condition, schema)
    if isinstance(condition, Not):
        operand = _condition(condition.operand, schema)
        return SqlCondition(f"NOT {operand.text}", operand.parameters)
    return _joined(condition.operator, [_condition(operand, schema) for operand in condition.operands])


def _joined(operator: str, operands: Sequence[SqlCondition]) -> SqlCondition:
    return SqlCondition(
        "(" + f" {operator} ".join(operand.text for operand in operands) + ")",
        tuple(parameter for operand in operands for parameter in operand.parameters),
    )


def _membership(condition: Membership, schema: Schema) -> SqlCondition:
    tests = [_comparison(choice, schema) for choice in condition.choices if choice.prefix]
    whole = [choice for choice in condition.choices if not choice.prefix]
    if whole:
        tests.append(_comparison(whole[0], schema, [choice.value for choice in whole[1:]]))
    return _joined("OR", tests)


def _comparison(comparison: Comparison, schema: Schema, more: Sequence[str] = ()) -> SqlCondition:
    """Compile a comparison; with `more` values, an equality that any of them may meet."""
    field, texts = comparison.field, [comparison.value, *more]
    if field in ("id", "item"):
        return _scalar(field, comparison, texts)
    if field == "labels":
        return _list("labels", comparison, texts)
    name = field.removeprefix("attributes.")
    if name not in schema:
        known = ", ".join(sorted(schema)) or "none"
        raise FilterError(f"the collection's schema has no attribute {name!r}; it has: {known}")
    column, kind = f"json_extract(attributes, '$.{name}')", schema[name]
    if kind == collection_pb2.ATTRIBUTE_TYPE_STRING_LIST:
        return _list(column, comparison, texts)
    if comparison.asks_presence:
        return SqlCondition(f"({column} IS NOT NULL)", ())
    if comparison.prefix and kind != collection_pb2.ATTRIBUTE_TYPE_STRING:
        raise FilterError(f"{field} holds no text, so * does not go with it")
    return _scalar(column, comparison, [_typed(field, text, kind) for text in texts])


def _scalar(column: str, comparison: Comparison, values: Sequence[Value]) -> SqlCondition:
    parameters = tuple(values)
    if comparison.prefix:
        text, parameters = f"substr({column}, 1, ?) = ?", (len(comparison.value), comparison.value)
    elif len(values) > 1:
        # One test of a list instead of many tests: SQLite bounds how deep conditions are nested.
        text = f"{column} IN ({', '.join('?' * len(values))})"
    else:
        operator = comparison.operator if comparison.operator[0] in "<>" else "="
        text = f"{column} {operator} ?"
    # What is missing is NULL, and NULL is neither true nor false.
    known = f"coalesce({text}, 0)"
    return SqlCondition(f"(NOT {known})" if comparison.operator == "!=" else known, parameters)


def _list(column: str, comparison: Comparison, texts: Sequence[str]) -> SqlCondition:
    if comparison.operator in ("<", "<=", ">", ">="):
        raise FilterError(f"{comparison.field} holds several texts; use =, != or :")
    element = _scalar("value", Comparison(comparison.field, "=", comparison.value, comparison.prefix), texts)
    text = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {element.text})"
    return SqlCondition(f"(NOT {text})" if comparison.operator == "!=" else text, element.parameters)


def _typed(field: str, text: str, kind: int) -> Value:
    if kind == collection_pb2.ATTRIBUTE_TYPE_STRING:
        return text
    if kind == collection_pb2.ATTRIBUTE_TYPE_BOOL:
        if text not in ("true", "false"):
            raise FilterError(f"{field} is true or false, not {text!r}")
        return int(text == "true")
    if kind == collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP:
        moment = timestamp_pb2.Timestamp()
        try:
            moment.FromJsonString(text)
        except ValueError as error:
            raise FilterError(f"{field} is a time like 2026-11-24T08:00:00Z, not {text!r}") from error
        return timestamp_text(moment)
    if _INTEGER.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise FilterError(f"{field} is a number, {text!r} is not")
