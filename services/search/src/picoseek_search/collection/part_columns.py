"""Fields of a part's documents by row, read when a filter first asks for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from picoseek_search.filtering.columns import Column, empty_column, joined_column
from picoseek_search.filtering.conditions import Field
from picoseek_search.segment.arrays import Mask, Offsets
from picoseek_search.storage.documents import DocumentReader, RowNumbers

_BLOCK_ROWS = 4096


class PartColumns:
    """Columns by field. A version of a document never changes, so what was read once stays right."""

    def __init__(self, rows: RowNumbers) -> None:
        """Make columns of the rows with these numbers, of which those at the end may be set later."""
        self._rows = rows
        self._columns: dict[Field, Column] = {}
        self._lock = threading.Lock()

    def known(self, field: Field, live: Mask) -> Column | None:
        """Return a field's column if the values of all live rows are known.

        Args:
            field: neither id nor item.
            live: which of the first rows matter.
        """
        column = self._columns.get(field)
        return None if column is None or len(column.unknown(live)) else column

    def read(self, field: Field, live: Mask, reader: DocumentReader) -> Column:
        """Return a field's column after reading what is missing.

        Args:
            field: neither id nor item.
            live: which of the first rows matter, at the reader's revision.
            reader: where the documents are.
        """
        with self._lock:
            column = self._columns.get(field) or empty_column(field.type, len(self._rows))
            self._columns[field] = column
            unknown = column.unknown(live)
            unknown = unknown[np.argsort(self._rows[unknown], kind="stable")]
            # In blocks, so that other searches get a turn.
            for start in range(0, len(unknown), _BLOCK_ROWS):
                places = unknown[start : start + _BLOCK_ROWS]
                column.learn(places, reader.field_values(field, self._rows[places]))
            return column

    def inherit(self, sources: Sequence[tuple[PartColumns, Offsets]]) -> None:
        """Take over what is known of the rows of other parts that these rows are, in this order."""
        for field in list(sources[0][0]._columns):
            columns = [(source._columns.get(field), rows) for source, rows in sources]
            complete = [(column, rows) for column, rows in columns if column is not None]
            if len(complete) == len(columns):
                with self._lock:
                    self._columns[field] = joined_column(field.type, complete)
