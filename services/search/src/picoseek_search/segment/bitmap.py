"""Sets of rows of one segment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from picoseek_search.segment.arrays import Mask, Offsets


@dataclass(frozen=True, eq=False)
class Bitmap:
    """An immutable set of rows, so that searches under way keep the one they began with."""

    packed: NDArray[np.uint8]
    """One bit a row, lowest bit of a byte first; bits from `length` on are 0."""
    length: int
    """Rows that the set speaks of."""

    @classmethod
    def full(cls, length: int) -> Bitmap:
        """Return the set of all rows."""
        return cls.from_mask(np.ones(length, dtype=np.bool_))

    @classmethod
    def from_mask(cls, mask: Mask) -> Bitmap:
        """Return the set of the rows for which the mask is true."""
        return cls(np.packbits(mask, bitorder="little"), len(mask))

    @cached_property
    def count(self) -> int:
        """Rows in the set."""
        return int(np.bitwise_count(self.packed).sum(dtype=np.int64))

    @property
    def is_full(self) -> bool:
        """Whether every row is in the set."""
        return self.count == self.length

    def mask(self) -> Mask:
        """Return the set as one truth value a row, shape (length,)."""
        return np.unpackbits(self.packed, count=self.length, bitorder="little").view(np.bool_)

    def offsets(self) -> Offsets:
        """Return the rows in the set, ascending."""
        return np.flatnonzero(self.mask())

    def without(self, offsets: Offsets) -> Bitmap:
        """Return the set less some rows."""
        packed = self.packed.copy()
        np.bitwise_and.at(packed, offsets >> 3, ~(1 << (offsets & 7)).astype(np.uint8))
        return Bitmap(packed, self.length)

    def extended(self, length: int) -> Bitmap:
        """Return the set over `length` rows, the new ones all in it."""
        return Bitmap.from_mask(np.concatenate([self.mask(), np.ones(length - self.length, dtype=np.bool_)]))

    def intersection(self, other: Bitmap) -> Bitmap:
        """Return the rows that are in both sets, which are of one length."""
        return Bitmap(self.packed & other.packed, self.length)
