"""Values of a field by row, on which conditions are tested for all rows at once."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from operator import ge, gt, le, lt
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from picoseek_search.filtering.conditions import FieldTest, FieldType, Operator, Value
from picoseek_search.segment.arrays import Mask, Offsets

Stored: TypeAlias = str | int | float | None
"""What the table of documents has as a field: None if it is not there, JSON if it is several texts."""

_COMPARED: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
}
_TIME_BYTES = 30
_NO_CODE = -1
_FARTHEST = 2.0**64
"""Beyond all whole numbers of 64 bits."""


class Column(ABC):
    """Values that never change, of which more and more rows' become known.

    One thread makes rows known; others test meanwhile, and look at nothing but the rows that they know to be known.
    """

    def __init__(self, capacity: int) -> None:
        """Make a column of so many rows, none of them known."""
        self._known: Mask = np.zeros(capacity, np.bool_)

    def unknown(self, wanted: Mask) -> Offsets:
        """Return those of the first rows, of which some are wanted, that are wanted and not known."""
        return np.flatnonzero(wanted & ~self._known[: len(wanted)])

    def learn(self, rows: Offsets, values: Sequence[Stored]) -> None:
        """Make rows known."""
        self._write(rows, values)
        self._known[rows] = True

    @abstractmethod
    def matches(self, test: FieldTest, length: int) -> Mask:
        """Return which of the first rows meet a test of this field; of rows that are not known, anything."""

    def inherit(self, start: int, source: Column, rows: Offsets) -> None:
        """Make rows from `start` on those rows of another column of the same kind, known or not."""
        # Before the values: what becomes known meanwhile may be half copied.
        known = source._known[rows]
        self._copy(start, source, rows)
        self._known[start : start + len(rows)] = known

    @abstractmethod
    def _write(self, rows: Offsets, values: Sequence[Stored]) -> None: ...

    @abstractmethod
    def _copy(self, start: int, source: Column, rows: Offsets) -> None: ...


def empty_column(type_: FieldType, capacity: int) -> Column:
    """Return a column of so many rows, none of them known."""
    match type_:
        case FieldType.TEXT:
            return _TextColumn(capacity)
        case FieldType.TEXTS:
            return _TextsColumn(capacity)
        case FieldType.TIME:
            return _TimeColumn(capacity)
        case FieldType.INTEGER | FieldType.TRUTH:
            return _IntegerColumn(capacity)
        case FieldType.REAL:
            return _RealColumn(capacity)


def joined_column(type_: FieldType, sources: Sequence[tuple[Column, Offsets]]) -> Column:
    """Return a column of rows of others, which are of one type."""
    column = empty_column(type_, sum(len(rows) for _, rows in sources))
    start = 0
    for source, rows in sources:
        column.inherit(start, source, rows)
        start += len(rows)
    return column


class _NumberColumn(Column):
    def __init__(self, capacity: int, type_: type[np.int64] | type[np.float64]) -> None:
        super().__init__(capacity)
        self._values: NDArray[Any] = np.zeros(capacity, type_)
        self._present: Mask = np.zeros(capacity, np.bool_)

    def matches(self, test: FieldTest, length: int) -> Mask:
        present, values = self._present[:length], self._values[:length]
        if test.operator is Operator.PRESENT:
            return present.copy()
        if test.operator is Operator.EQUAL:
            wanted = [exact for value in test.values if (exact := self._exact(value)) is not None]
            found: Mask = np.isin(values, np.array(wanted, values.dtype)) if len(wanted) != 1 else values == wanted[0]
            return found & present
        compare, bound = self._bound(test.operator, cast(float, test.values[0]))
        ordered: Mask = compare(values, bound)
        return ordered & present

    def _write(self, rows: Offsets, values: Sequence[Stored]) -> None:
        self._values[rows] = [0 if value is None else value for value in values]
        self._present[rows] = [value is not None for value in values]

    def _copy(self, start: int, source: Column, rows: Offsets) -> None:
        assert isinstance(source, _NumberColumn)
        self._values[start : start + len(rows)] = source._values[rows]
        self._present[start : start + len(rows)] = source._present[rows]

    @abstractmethod
    def _exact(self, value: Value) -> int | float | None:
        """Return a number as the column would hold it; None: it cannot."""

    @abstractmethod
    def _bound(self, operator: Operator, value: float) -> tuple[Callable[[Any, Any], Any], int | float]:
        """Return a comparison in the column's own type that says the same, exactly."""


class _IntegerColumn(_NumberColumn):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, np.int64)

    def _exact(self, value: Value) -> int | None:
        number = cast(float, value)
        if isinstance(number, float) and not number.is_integer():
            return None
        return int(number) if -(1 << 63) <= number < 1 << 63 else None

    def _bound(self, operator: Operator, value: float) -> tuple[Callable[[Any, Any], Any], int | float]:
        if isinstance(value, float):
            near = max(-_FARTHEST, min(_FARTHEST, value))
            # Between whole numbers: x < 2.5 and x >= 2.5 turn at 3, x <= 2.5 and x > 2.5 at 2.
            rounded = math.ceil if operator in (Operator.LESS, Operator.GREATER_OR_EQUAL) else math.floor
            value = rounded(near)
        return _COMPARED[operator], value


class _RealColumn(_NumberColumn):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, np.float64)

    def _exact(self, value: Value) -> float | None:
        number = float(value)
        return number if number == value else None

    def _bound(self, operator: Operator, value: float) -> tuple[Callable[[Any, Any], Any], int | float]:
        near = float(value)
        if near == value:
            return _COMPARED[operator], near
        # A whole number between two of double precision, of which `near` is one.
        if operator in (Operator.LESS, Operator.LESS_OR_EQUAL):
            return le, near if near < value else math.nextafter(near, -math.inf)
        return ge, near if near > value else math.nextafter(near, math.inf)


class _TimeColumn(Column):
    """Times as texts of one length, which sort as the times do; empty: not there."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._values: NDArray[np.bytes_] = np.zeros(capacity, f"S{_TIME_BYTES}")

    def matches(self, test: FieldTest, length: int) -> Mask:
        values = self._values[:length]
        present: Mask = values != b""
        if test.operator is Operator.PRESENT:
            return present
        wanted = [str(value).encode() for value in test.values]
        if test.operator is Operator.EQUAL:
            return np.isin(values, np.array(wanted, values.dtype))
        ordered: Mask = _COMPARED[test.operator](values, wanted[0])
        return ordered & present

    def _write(self, rows: Offsets, values: Sequence[Stored]) -> None:
        self._values[rows] = [str(value or "").encode() for value in values]

    def _copy(self, start: int, source: Column, rows: Offsets) -> None:
        assert isinstance(source, _TimeColumn)
        self._values[start : start + len(rows)] = source._values[rows]


class _CodedColumn(Column):
    """Values that are kept once each, and their numbers by row."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._codes: NDArray[np.int32] = np.full(capacity, _NO_CODE, np.int32)
        self._numbers: dict[Stored, int] = {}

    def matches(self, test: FieldTest, length: int) -> Mask:
        # Copied first: what another thread adds meanwhile has numbers beyond the table.
        codes = self._codes[:length].copy()
        if test.operator is Operator.PRESENT:
            present: Mask = codes != _NO_CODE
            return present
        # The last one is that of _NO_CODE.
        table: Mask = np.zeros(len(self._numbers) + 1, np.bool_)
        for number in self._meeting(test):
            if number < len(table) - 1:
                table[number] = True
        return table[codes]

    def _write(self, rows: Offsets, values: Sequence[Stored]) -> None:
        self._codes[rows] = [_NO_CODE if value is None else self._number_of(value) for value in values]

    def _copy(self, start: int, source: Column, rows: Offsets) -> None:
        assert isinstance(source, _CodedColumn)
        codes = source._codes[rows]
        used = np.unique(codes[codes != _NO_CODE])
        values = list(source._numbers)
        table = np.full(int(used[-1]) + 2 if len(used) else 1, _NO_CODE, np.int32)
        for code in used.tolist():
            table[code] = self._number_of(values[code])
        self._codes[start : start + len(rows)] = table[codes]

    def _number_of(self, value: Stored) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = len(self._numbers)
            self._note(value, number)
            self._numbers[value] = number
        return number

    def _note(self, value: Stored, number: int) -> None:
        """Take notice of a value that comes for the first time."""

    @abstractmethod
    def _meeting(self, test: FieldTest) -> Iterable[int]:
        """Return the numbers of the values that meet a test."""


class _TextColumn(_CodedColumn):
    def _meeting(self, test: FieldTest) -> Iterable[int]:
        if test.operator is Operator.EQUAL:
            return [number for value in test.values if (number := self._numbers.get(value)) is not None]
        wanted = str(test.values[0])
        # Texts compare by code points, as their UTF-8 does.
        texts = list(self._numbers)
        if test.operator is Operator.PREFIX:
            return [number for number, text in enumerate(texts) if str(text).startswith(wanted)]
        compare = _COMPARED[test.operator]
        return [number for number, text in enumerate(texts) if compare(text, wanted)]


class _TextsColumn(_CodedColumn):
    """Lists of texts, each kept once as JSON, and by text the numbers of the lists that it is in."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._lists: dict[str, list[int]] = {}

    def _note(self, value: Stored, number: int) -> None:
        for text in dict.fromkeys(json.loads(str(value))):
            self._lists.setdefault(text, []).append(number)

    def _meeting(self, test: FieldTest) -> Iterable[int]:
        if test.operator is Operator.EQUAL:
            texts = [str(value) for value in test.values]
        else:
            texts = [text for text in list(self._lists) if text.startswith(str(test.values[0]))]
        return [number for text in texts for number in list(self._lists.get(text, ()))]
