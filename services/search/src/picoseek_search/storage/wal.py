"""Tells a write-ahead log of SQLite that a stop has cut short from one that is damaged.

SQLite reads such a log up to the first frame whose checksum does not fit, and takes what follows for a transaction that
was never committed. A flipped bit looks the same to it, and would undo commits without a word. The format is that of
https://sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_HEADER = 32
_FRAME_HEADER = 24
_SUMMED = 8
"""Bytes of a frame's header that its checksum covers; the salts behind them are compared."""
_MASK = 0xFFFFFFFF
_MAGIC = (0x377F0682, 0x377F0683)

Words: TypeAlias = NDArray[np.uint32]
Sums: TypeAlias = tuple[int, int]


def damage(path: Path) -> str:
    """Return what is wrong with a log that nobody has open; "": nothing, or there is none.

    A log is damaged if its first unfit frame is one bit away from a fit one, which no half-written frame is, or if a
    transaction begins behind the one of that frame: nothing is written before the transaction before it is on disk.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    if len(content) < _HEADER:
        return ""
    log = _Log(content)
    if not log.has_header:
        return "its header does not fit" if len(content) > _HEADER else ""
    state = log.sums
    for number in range(log.frames):
        summed = log.sum(number, state)
        if log.salts(number) == log.salt and log.stored(number) == summed:
            state = summed
            continue
        if log.is_one_bit_off(number, state, summed) or log.goes_on_behind(number, summed):
            return f"frame {number}"
        break
    return ""


class _Log:
    def __init__(self, content: bytes) -> None:
        self._content = content
        magic, _, self._page, _, *salt = _big(content[:24])
        self._order = ">u4" if magic & 1 else "<u4"
        self.salt = tuple(salt)
        self.sums: Sums = (0, 0)
        self.has_header = False
        if magic in _MAGIC:
            self.sums = _summed(self._words(content[:24]), (0, 0))
            self.has_header = self.sums == _pair(content[24:32])
        self._size = _FRAME_HEADER + self._page
        self.frames = (len(content) - _HEADER) // self._size if self.has_header else 0

    def sum(self, number: int, before: Sums) -> Sums:
        return _summed(self._covered(number), before)

    def salts(self, number: int) -> tuple[int, ...]:
        return _pair(self._frame(number)[8:16])

    def stored(self, number: int) -> Sums:
        return _pair(self._frame(number)[16:24])

    def is_one_bit_off(self, number: int, before: Sums, summed: Sums) -> bool:
        stored = self.stored(number)
        bits = sum(_bits(one, two) for one, two in zip(stored, summed, strict=True))
        salt_bits = sum(_bits(one, two) for one, two in zip(self.salts(number), self.salt, strict=True))
        if not bits or salt_bits:
            return not bits and salt_bits == 1
        return bits == 1 or self._sums_when_flipped(number, before, stored)

    def goes_on_behind(self, number: int, summed: Sums) -> bool:
        """Whether frames that fit follow, beyond the end of a transaction."""
        is_committed = False
        for state in (self.stored(number), summed):
            is_committed = self._commits(number)
            for later in range(number + 1, self.frames):
                if self.salts(later) != self.salt or self.stored(later) != self.sum(later, state):
                    break
                if is_committed:
                    return True
                state = self.stored(later)
                is_committed = self._commits(later)
        return False

    def _sums_when_flipped(self, number: int, before: Sums, stored: Sums) -> bool:
        words = self._covered(number)
        weights = _weights(len(words) // 2)
        summed = _summed(words, before)
        wanted = [(goal - now) & _MASK for goal, now in zip(stored, summed, strict=True)]
        bits = (np.uint32(1) << np.arange(32, dtype=np.uint32))[None, :]
        change = np.where(words[:, None] & bits, np.uint32(0) - bits, bits)
        first, second = (weights[row].reshape(-1)[:, None] * change for row in (0, 1))
        return bool(((first == wanted[0]) & (second == wanted[1])).any())

    def _commits(self, number: int) -> bool:
        return bool(_pair(self._frame(number)[:8])[1])

    def _frame(self, number: int) -> bytes:
        start = _HEADER + number * self._size
        return self._content[start : start + self._size]

    def _covered(self, number: int) -> Words:
        frame = self._frame(number)
        return self._words(frame[:_SUMMED] + frame[_FRAME_HEADER:])

    def _words(self, content: bytes) -> Words:
        return np.frombuffer(content, self._order).astype(np.uint32)


@lru_cache(maxsize=4)
def _weights(pairs: int) -> NDArray[np.uint32]:
    """What each word of a message of so many pairs counts in both sums, shape (2, pairs, 2).

    A pair (x, y) makes (a + b + x, a + 2 b + x + y) of sums (a, b).
    """
    found = np.empty((2, pairs, 2), np.uint32)
    rows = [(1, 0), (0, 1)]
    for place in range(pairs - 1, -1, -1):
        for row, (a, b) in enumerate(rows):
            found[row, place] = (a + b) & _MASK, b
        rows = [((a + b) & _MASK, (a + 2 * b) & _MASK) for a, b in rows]
    return found


def _summed(words: Words, before: Sums) -> Sums:
    a, b = before
    pairs = len(words) // 2
    first, second = (int((row.reshape(-1) * words).sum(dtype=np.uint32)) for row in _weights(pairs))
    (aa, ab), (ba, bb) = _power(pairs)
    return (aa * a + ab * b + first) & _MASK, (ba * a + bb * b + second) & _MASK


@lru_cache(maxsize=4)
def _power(pairs: int) -> tuple[Sums, Sums]:
    """What the sums before a message of so many pairs count in those behind it."""
    rows = [(1, 0), (0, 1)]
    for _ in range(pairs):
        rows = [((a + b) & _MASK, (a + 2 * b) & _MASK) for a, b in rows]
    return rows[0], rows[1]


def _big(content: bytes) -> list[int]:
    return [int(word) for word in np.frombuffer(content, ">u4")]


def _pair(content: bytes) -> Sums:
    return int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")


def _bits(one: int, two: int) -> int:
    return (one ^ two).bit_count()
