"""Which rows of a snapshot meet a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from picoseek_search.collection.part import View
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.filtering.columns import Column
from picoseek_search.filtering.conditions import Combination, Condition, Field, FieldTest, Negation, fields_of
from picoseek_search.segment.arrays import Mask
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.storage.documents import DocumentReader, RowNumbers
from picoseek_search.storage.filter_sql import sql_of


def known_selection(snapshot: Snapshot, condition: Condition) -> list[Bitmap] | None:
    """Return the live rows of each view that meet a condition; None: that takes a look at the documents."""
    fields = fields_of(condition)
    if any(field.is_name for field in fields):
        return None
    selected: list[Bitmap] = []
    for view in snapshot.views:
        live = view.live.mask()
        columns = _known(view, fields, live)
        if columns is None:
            return None
        selected.append(Bitmap.from_mask(_evaluated(condition, _tester(columns, len(live))) & live))
    return selected


def selection(snapshot: Snapshot, condition: Condition, reader: DocumentReader) -> list[Bitmap]:
    """Return the live rows of each view that meet a condition.

    Args:
        snapshot: what is searched.
        condition: the filter.
        reader: the documents, at the snapshot's revision.
    """
    names: dict[FieldTest, RowNumbers] = {}

    def numbers_of(test: FieldTest) -> RowNumbers:
        if test not in names:
            names[test] = reader.rows_where(sql_of(test))
        return names[test]

    def tester(view: View, live: Mask) -> Callable[[FieldTest], Mask]:
        def test_rows(test: FieldTest) -> Mask:
            if test.field.is_name:
                return view.is_among(numbers_of(test))
            return view.part.columns.read(test.field, live, reader).matches(test, len(live))

        return test_rows

    selected: list[Bitmap] = []
    for view in snapshot.views:
        live = view.live.mask()
        selected.append(Bitmap.from_mask(_evaluated(condition, tester(view, live)) & live))
    return selected


def _known(view: View, fields: Iterable[Field], live: Mask) -> dict[Field, Column] | None:
    columns: dict[Field, Column] = {}
    for field in fields:
        column = view.part.columns.known(field, live)
        if column is None:
            return None
        columns[field] = column
    return columns


def _tester(columns: Mapping[Field, Column], length: int) -> Callable[[FieldTest], Mask]:
    return lambda test: columns[test.field].matches(test, length)


def _evaluated(condition: Condition, test_rows: Callable[[FieldTest], Mask]) -> Mask:
    match condition:
        case FieldTest():
            return test_rows(condition)
        case Negation():
            return ~_evaluated(condition.operand, test_rows)
        case Combination():
            combine = np.logical_and if condition.all else np.logical_or
            combined: Mask = combine.reduce([_evaluated(operand, test_rows) for operand in condition.operands])
            return combined
