"""Filters as conditions on fields whose types are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeAlias

from google.protobuf import timestamp_pb2
from picoseek_protos.v1 import collection_pb2

from picoseek_search.filtering import filter_syntax
from picoseek_search.filtering.filter_syntax import FilterError, Junction, Membership, Not, parse

Schema: TypeAlias = Mapping[str, int]
"""AttributeType of each attribute, by name."""

Value: TypeAlias = str | int | float

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class FieldType(Enum):
    """What a field holds, and as what it is stored."""

    TEXT = "text"
    """One text."""
    INTEGER = "integer"
    """A whole number of 64 bits."""
    REAL = "real"
    """A finite number of double precision."""
    TRUTH = "truth"
    """1 or 0."""
    TIME = "time"
    """A text as timestamp_text() writes it."""
    TEXTS = "texts"
    """Any number of texts."""


_TYPES: dict[int, FieldType] = {
    collection_pb2.ATTRIBUTE_TYPE_STRING: FieldType.TEXT,
    collection_pb2.ATTRIBUTE_TYPE_INT: FieldType.INTEGER,
    collection_pb2.ATTRIBUTE_TYPE_DOUBLE: FieldType.REAL,
    collection_pb2.ATTRIBUTE_TYPE_BOOL: FieldType.TRUTH,
    collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP: FieldType.TIME,
    collection_pb2.ATTRIBUTE_TYPE_STRING_LIST: FieldType.TEXTS,
}


@dataclass(frozen=True)
class Field:
    """A field of documents."""

    name: str
    """"id", "item", "labels", or the name of an attribute."""
    type: FieldType
    """What it holds."""
    is_attribute: bool
    """Whether it is an attribute, which a document may lack."""

    @property
    def is_name(self) -> bool:
        """Whether it is the id or the item."""
        return not self.is_attribute and self.name != "labels"


class Operator(Enum):
    """How a field is compared."""

    EQUAL = "="
    """It is one of several values; one of its texts is."""
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    PREFIX = "prefix"
    """It begins with the value; one of its texts does."""
    PRESENT = "present"
    """It is there; there are no values."""


@dataclass(frozen=True)
class FieldTest:
    """A comparison that a document without the field does not meet."""

    field: Field
    """What is compared."""
    operator: Operator
    """How."""
    values: tuple[Value, ...]
    """With what: one, or several with EQUAL."""


@dataclass(frozen=True)
class Negation:
    """The opposite of a condition."""

    operand: Condition


@dataclass(frozen=True)
class Combination:
    """Several conditions of which all or one must hold."""

    all: bool
    """All of them, not one."""
    operands: tuple[Condition, ...]


Condition: TypeAlias = FieldTest | Negation | Combination

_ID, _ITEM = Field("id", FieldType.TEXT, False), Field("item", FieldType.TEXT, False)
_LABELS = Field("labels", FieldType.TEXTS, False)
_OWN_FIELDS = {field.name: field for field in (_ID, _ITEM, _LABELS)}


def read_filter(text: str, schema: Schema) -> Condition | None:
    """Read a filter; None if it is empty, which every document meets.

    A document without an attribute meets no comparison of it except "!=".

    Raises:
        FilterError: it is no filter, or names an attribute or a value that the schema does not allow.
    """
    return _condition(parse(text), schema) if text.strip() else None


def fields_of(condition: Condition) -> set[Field]:
    """Return the fields that a condition compares."""
    match condition:
        case FieldTest():
            return {condition.field}
        case Negation():
            return fields_of(condition.operand)
        case Combination():
            return set[Field]().union(*(fields_of(operand) for operand in condition.operands))


def timestamp_text(value: timestamp_pb2.Timestamp) -> str:
    """Return a time as text that sorts by time: 2026-11-24T08:00:00.000000000Z."""
    seconds = datetime.fromtimestamp(value.seconds, UTC).replace(tzinfo=None).isoformat()
    return f"{seconds}.{value.nanos:09d}Z"


def _condition(condition: filter_syntax.Condition, schema: Schema) -> Condition:
    match condition:
        case filter_syntax.Comparison():
            return _comparison(condition, schema)
        case Membership():
            return _membership(condition, schema)
        case Not():
            return Negation(_condition(condition.operand, schema))
        case Junction():
            operands = tuple(_condition(operand, schema) for operand in condition.operands)
            return Combination(condition.operator == "AND", operands)


def _membership(condition: Membership, schema: Schema) -> Condition:
    tests = [_comparison(choice, schema) for choice in condition.choices if choice.prefix]
    whole = [choice for choice in condition.choices if not choice.prefix]
    if whole:
        field = _field(condition.field, schema)
        values = tuple(_value(field, choice) for choice in whole)
        tests.append(FieldTest(field, Operator.EQUAL, values))
    return tests[0] if len(tests) == 1 else Combination(False, tuple(tests))


def _comparison(comparison: filter_syntax.Comparison, schema: Schema) -> Condition:
    field = _field(comparison.field, schema)
    if field.type is FieldType.TEXTS and comparison.operator in ("<", "<=", ">", ">="):
        raise FilterError(f"{comparison.field} holds several texts; use =, != or :")
    if field.is_attribute and field.type is not FieldType.TEXTS and comparison.asks_presence:
        return FieldTest(field, Operator.PRESENT, ())
    if comparison.prefix:
        if field.type not in (FieldType.TEXT, FieldType.TEXTS):
            raise FilterError(f"{comparison.field} holds no text, so * does not go with it")
        test = FieldTest(field, Operator.PREFIX, (comparison.value,))
    else:
        operator = Operator(comparison.operator) if comparison.operator[0] in "<>" else Operator.EQUAL
        test = FieldTest(field, operator, (_value(field, comparison),))
    return Negation(test) if comparison.operator == "!=" else test


def _field(name: str, schema: Schema) -> Field:
    if name in _OWN_FIELDS:
        return _OWN_FIELDS[name]
    attribute = name.removeprefix("attributes.")
    if attribute not in schema:
        known = ", ".join(sorted(schema)) or "none"
        raise FilterError(f"the collection's schema has no attribute {attribute!r}; it has: {known}")
    return Field(attribute, _TYPES[schema[attribute]], True)


def _value(field: Field, comparison: filter_syntax.Comparison) -> Value:
    name, text = comparison.field, comparison.value
    if field.type in (FieldType.TEXT, FieldType.TEXTS):
        return text
    if field.type is FieldType.TRUTH:
        if text not in ("true", "false"):
            raise FilterError(f"{name} is true or false, not {text!r}")
        return int(text == "true")
    if field.type is FieldType.TIME:
        moment = timestamp_pb2.Timestamp()
        try:
            moment.FromJsonString(text)
        except ValueError as error:
            raise FilterError(f"{name} is a time like 2026-11-24T08:00:00Z, not {text!r}") from error
        return timestamp_text(moment)
    if _INTEGER.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise FilterError(f"{name} is a number, {text!r} is not")
