"""Names of a part's rows: document ids, or items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.arrays import Mask, Offsets

_BLOCK_ROWS = 4096

Lengths: TypeAlias = NDArray[np.int64]
"""Bytes of names."""


class Names(Protocol):
    """Strings by row."""

    def take(self, rows: Offsets) -> list[str]:
        """Return some rows' names."""
        ...

    def encoded(self, rows: Offsets) -> tuple[Lengths, bytes]:
        """Return some rows' names in UTF-8, end to end, and their lengths."""
        ...


class GrowingNames:
    """Names that are written row by row, each once."""

    def __init__(self, capacity: int) -> None:
        self._names = np.empty(capacity, np.object_)

    def copy(self) -> GrowingNames:
        """Return names that can be written to without a change of these."""
        twin = GrowingNames(len(self._names))
        twin._names[:] = self._names
        return twin

    def write(self, start: int, names: Sequence[str]) -> None:
        """Set the names of the rows from `start` on."""
        self._names[start : start + len(names)] = names

    def take(self, rows: Offsets) -> list[str]:
        """See Names.take."""
        names: list[str] = self._names.take(rows).tolist()
        return names

    def encoded(self, rows: Offsets) -> tuple[Lengths, bytes]:
        """See Names.encoded."""
        return _encoded(self.take(rows))


class PackedNames:
    """Names that stay, in one block of bytes: as strings they would take three times the memory, all over the heap."""

    def __init__(self, blocks: Iterable[tuple[Lengths, bytes]]) -> None:
        """Pack names that are encoded as Names.encoded does, block by block."""
        lengths: list[Lengths] = [np.zeros(1, np.int64)]
        data: list[bytes] = []
        for some, encoded in blocks:
            lengths.append(some)
            data.append(encoded)
        self._ends = np.cumsum(np.concatenate(lengths))
        self._data = b"".join(data)

    @classmethod
    def of(cls, names: Sequence[str]) -> PackedNames:
        """Pack strings."""
        return cls(_encoded(names[start : start + _BLOCK_ROWS]) for start in range(0, len(names), _BLOCK_ROWS))

    @classmethod
    def of_rows(cls, sources: Iterable[tuple[Names, Offsets, Mask]]) -> PackedNames:
        """Pack the names of rows of several parts.

        Args:
            sources: the names of a part, rows of it, and whether a row has a name from now on or an empty one.
        """
        return cls(
            _some_named(names, rows[start : start + _BLOCK_ROWS], is_named[start : start + _BLOCK_ROWS])
            for names, rows, is_named in sources
            # In blocks, for the sake of memory and of threads that wait for the interpreter.
            for start in range(0, len(rows), _BLOCK_ROWS)
        )

    def __eq__(self, other: object) -> bool:
        """Return whether all names are the same."""
        return (
            isinstance(other, PackedNames)
            and self._data == other._data
            and bool(np.array_equal(self._ends, other._ends))
        )

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: Offsets) -> list[str]:
        """See Names.take."""
        data = self._data
        spans = zip(self._ends.take(rows).tolist(), self._ends.take(rows + 1).tolist(), strict=True)
        return [data[start:end].decode() for start, end in spans]

    def encoded(self, rows: Offsets) -> tuple[Lengths, bytes]:
        """See Names.encoded."""
        starts = self._ends[rows]
        lengths = self._ends[rows + 1] - starts
        # The place of each byte: those of a row follow each other from its start.
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        return lengths, np.frombuffer(self._data, np.uint8)[places].tobytes()


def _encoded(names: Sequence[str]) -> tuple[Lengths, bytes]:
    encoded = [name.encode() for name in names]
    return np.array([len(one) for one in encoded], np.int64), b"".join(encoded)


def _some_named(names: Names, rows: Offsets, is_named: Mask) -> tuple[Lengths, bytes]:
    lengths = np.zeros(len(rows), np.int64)
    lengths[is_named], data = names.encoded(rows[is_named])
    return lengths, data
