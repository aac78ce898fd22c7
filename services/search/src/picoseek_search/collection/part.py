"""Segments with the documents that their rows stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from picoseek_search.collection.names import GrowingNames, Names
from picoseek_search.collection.part_columns import PartColumns
from picoseek_search.segment.arrays import Mask, Offsets, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.growing import GrowingSegment
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.segment import Segment
from picoseek_search.storage.documents import RowNumbers, StoredRow, VectorChecksums

NO_NUMBER = -1
"""Stands where the number of a row would: nobody asks for the row any more."""
_FEW_SHARE = 1 / 8
"""Up to so many numbers a row are looked up among the rows, instead of the rows among them."""


@dataclass(frozen=True, eq=False)
class Part:
    """A segment and, row by row, the versions of documents in it."""

    number: int
    """Unique in the shard."""
    segment: Segment
    """The vectors."""
    rows: RowNumbers
    """Numbers of the versions, or NO_NUMBER; behind the published rows anything."""
    vector_checksums: VectorChecksums
    """CRC-32C of the vectors as they were written."""
    ids: Names
    """Document ids; behind the published rows anything."""
    items: Names
    """Items, likewise: the very same object where every row's item is its id."""

    columns: PartColumns = field(init=False, repr=False)
    """Fields that filters have asked for."""

    _order: Offsets | None = field(init=False, repr=False)
    """Places of the rows by ascending number; None: they are in this order."""

    def __post_init__(self) -> None:
        # Rows that were left in a graph when their documents were gone have no number, and stand in between.
        is_ascending = bool((self.rows[1:] >= self.rows[:-1]).all())
        object.__setattr__(self, "_order", None if is_ascending else np.argsort(self.rows, kind="stable"))
        object.__setattr__(self, "columns", PartColumns(self.rows))
        if self.items == self.ids:
            object.__setattr__(self, "items", self.ids)

    def find(self, numbers: RowNumbers, length: int) -> Offsets:
        """Return the places of those of some numbers that are among the first `length` rows."""
        if not length:
            return np.empty(0, np.int64)
        places = np.minimum(np.searchsorted(self.rows[:length], numbers, sorter=self._order), length - 1)
        if self._order is not None:
            places = self._order[places]
        found: Offsets = places[self.rows[places] == numbers]
        return found


class GrowingPart(Part):
    """A part that takes new rows. What is appended is seen only under a bitmap that is long enough."""

    def __init__(self, number: int, dimension: int, capacity: int, metric: Metric) -> None:
        self._growing = GrowingSegment(dimension, capacity, metric)
        self._ids = self._items = GrowingNames(capacity)
        super().__init__(
            number,
            self._growing,
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int64),
            self._ids,
            self._items,
        )

    @property
    def free(self) -> int:
        """Rows that still fit."""
        return self._growing.free

    def append(self, stored: Sequence[StoredRow], vectors: Vectors) -> int:
        """Add rows behind the last one; returns the new length."""
        start = self._growing.length
        self._growing.append(vectors)
        end = start + len(stored)
        self.rows[start:end] = [one.row for one in stored]
        self.vector_checksums[start:end] = [one.vector_checksum for one in stored]
        self._ids.write(start, [one.id for one in stored])
        self._write_items(start, stored)
        return self._growing.length

    def _write_items(self, start: int, stored: Sequence[StoredRow]) -> None:
        if self._items is self._ids:
            if all(one.item == one.id for one in stored):
                return
            # Searches that have taken the column before ask it only for rows whose item is their id.
            self._items = self._ids.copy()
            object.__setattr__(self, "items", self._items)
        self._items.write(start, [one.item for one in stored])

    def truncate(self, length: int) -> None:
        """Take back rows that were never published."""
        self._growing.truncate(length)


@dataclass(frozen=True, eq=False)
class View:
    """A part as one snapshot shows it."""

    part: Part
    """The part."""
    live: Bitmap
    """Rows that are there and whose document has not been replaced or removed."""

    @property
    def is_growing(self) -> bool:
        """Whether later snapshots may show more rows of the part.

        Published rows count: the writer may have filled the part with rows that are not committed yet.
        """
        return isinstance(self.part, GrowingPart) and self.live.length < len(self.part.rows)

    @property
    def rows(self) -> RowNumbers:
        """Numbers of the published rows."""
        return self.part.rows[: self.live.length]

    def find(self, numbers: RowNumbers) -> Offsets:
        """Return the places of those of some numbers that are in the part."""
        return self.part.find(numbers, self.live.length)

    def is_among(self, numbers: RowNumbers) -> Mask:
        """Return for each row whether its number is among some ascending ones."""
        if len(numbers) > _FEW_SHARE * self.live.length:
            return contains(numbers, self.rows)
        mask = np.zeros(self.live.length, np.bool_)
        mask[self.find(numbers)] = True
        return mask

    def selected(self, numbers: RowNumbers) -> Bitmap:
        """Return the live rows that are among some ascending numbers."""
        return self.live.intersection(Bitmap.from_mask(self.is_among(numbers)))


def contains(numbers: RowNumbers, wanted: RowNumbers) -> Mask:
    """Return for each wanted number whether it is among some ascending ones."""
    if not len(numbers):
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.equal(numbers[places], wanted)
