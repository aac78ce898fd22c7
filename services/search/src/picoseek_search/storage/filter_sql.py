"""Filters as SQL conditions over the table of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from picoseek_search.filtering.conditions import (
    Combination,
    Condition,
    Field,
    FieldTest,
    FieldType,
    Negation,
    Operator,
    Value,
)

_LAST_CHARACTER = chr(0x10FFFF)
_BEFORE_SURROGATES, _BEHIND_SURROGATES = 0xD7FF, 0xE000


@dataclass(frozen=True)
class SqlCondition:
    """An expression that is 1 for documents that meet a filter and 0 for the others, and its parameters."""

    text: str
    """SQL with a "?" for each parameter."""
    parameters: tuple[Value, ...]
    """Values, in order."""
    narrowed_by: frozenset[str] = frozenset()
    """Columns with an index in which the documents that may meet it stand together: "id", "item", both or none."""

    @property
    def table(self) -> str:
        """The table of documents as a statement with this condition should name it.

        SQLite believes that few documents are of one shard, and would rather go through an index of all of them.
        """
        return "documents" if self.narrowed_by else "documents NOT INDEXED"


ALWAYS = SqlCondition("1", (), frozenset({"id", "item"}))
"""Met by every document; an index is all that it takes to name them."""


def sql_of(condition: Condition | None) -> SqlCondition:
    """Return a condition in SQL; None is met by every document.

    Comparisons of ids and of items can be looked up in the indexes of the table, those of the rest read all rows.
    """
    match condition:
        case None:
            return ALWAYS
        case Negation():
            operand = sql_of(condition.operand)
            return SqlCondition(f"(NOT {operand.text})", operand.parameters)
        case Combination():
            return _joined([sql_of(operand) for operand in condition.operands], all_=condition.all)
        case FieldTest():
            return _test(condition)


def value_sql(field: Field) -> str:
    """Return the expression of what a document has as a field: NULL if it lacks it, JSON if it is several texts."""
    return f"json_extract(attributes, '$.{field.name}')" if field.is_attribute else field.name


def _joined(operands: Sequence[SqlCondition], *, all_: bool) -> SqlCondition:
    narrowed = [operand.narrowed_by for operand in operands]
    return SqlCondition(
        "(" + (" AND " if all_ else " OR ").join(operand.text for operand in operands) + ")",
        tuple(parameter for operand in operands for parameter in operand.parameters),
        frozenset[str]().union(*narrowed) if all_ or all(narrowed) else frozenset(),
    )


def _test(test: FieldTest) -> SqlCondition:
    column = value_sql(test.field)
    if test.operator is Operator.PRESENT:
        return SqlCondition(f"({column} IS NOT NULL)", ())
    if test.field.type is FieldType.TEXTS:
        element = _compared("value", test.operator, test.values)
        return SqlCondition(f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {element.text})", element.parameters)
    if test.field.is_name:
        return _compared_name(column, test)
    compared = _compared(column, test.operator, test.values)
    # What is missing is NULL, and NULL is neither true nor false.
    return SqlCondition(f"coalesce({compared.text}, 0)", compared.parameters)


def _compared_name(column: str, test: FieldTest) -> SqlCondition:
    # Never NULL; and SQLite uses an index only for a bare comparison of the column.
    narrowed = frozenset({column})
    if test.operator is not Operator.PREFIX:
        compared = _compared(column, test.operator, test.values)
        return SqlCondition(f"({compared.text})", compared.parameters, narrowed)
    first = str(test.values[0])
    behind = _behind_all_with(first)
    if not behind:
        return SqlCondition(f"({column} >= ?)", (first,), narrowed)
    return SqlCondition(f"({column} >= ? AND {column} < ?)", (first, behind), narrowed)


def _compared(column: str, operator: Operator, values: tuple[Value, ...]) -> SqlCondition:
    if operator is Operator.PREFIX:
        first = str(values[0])
        return SqlCondition(f"substr({column}, 1, ?) = ?", (len(first), first))
    if len(values) > 1:
        # One test of a list instead of many tests: SQLite bounds how deep conditions are nested.
        return SqlCondition(f"{column} IN ({', '.join('?' * len(values))})", values)
    return SqlCondition(f"{column} {operator.value} ?", values)


def _behind_all_with(prefix: str) -> str:
    """Return the first text behind all that begin so, in the order of code points, which is SQLite's; "": none is."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return ""
    last = ord(kept[-1])
    return kept[:-1] + chr(_BEHIND_SURROGATES if last == _BEFORE_SURROGATES else last + 1)
