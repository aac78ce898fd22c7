"""References of a gallery on which its searches are measured."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_search.collection.names import Names
from picoseek_search.collection.part import Part
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.specification import Specification
from picoseek_search.segment.arrays import Offsets

MOST_REFERENCES = 4096
"""References that are searched for."""
_MOST_COMPARISONS = 400_000_000
"""Of a gallery in which that would be more vectors to compare than these, fewer references are searched for."""
_LEAST_REFERENCES = 1000
_MOST_TIMES_MEDIAN = 4
"""References of one item at most, as a multiple of the median: one item must not be the measure of all."""
_BLOCK = 4096


@dataclass(frozen=True)
class Place:
    """Where a reference is."""

    view: int
    """Place of its view in the snapshot."""
    row: int
    """Row of the view's part."""


@dataclass(frozen=True)
class Sampled:
    """An item, and which of its references are searched for."""

    item: str
    """Its name."""
    references: int
    """How many it has."""
    places: list[Place]
    """Some of them."""


def sample(snapshot: Snapshot, specification: Specification, check: Callable[[], None]) -> list[Sampled]:
    """Choose references: those with the smallest checksums of item and id, whatever parts they lie in.

    Args:
        snapshot: the gallery.
        specification: how it is searched.
        check: called now and then; an exception that it raises ends the work.
    """
    live = _live_rows(snapshot, check)
    _, first, item_of_row, counts = np.unique(live.digests, return_index=True, return_inverse=True, return_counts=True)
    most = MOST_REFERENCES
    if specification.exact or specification.kind.is_exact:
        affordable = _MOST_COMPARISONS // max(1, snapshot.live_rows)
        most = min(most, max(_LEAST_REFERENCES, affordable))
    chosen = _first_items(snapshot, live, first, most)
    median = int(np.sort(counts)[len(counts) // 2]) if len(counts) else 1
    each = max(1, min(most // max(1, len(chosen)), _MOST_TIMES_MEDIAN * median))
    wanted: dict[int, list[tuple[tuple[int, str], Place]]] = {number: [] for number, _ in chosen}
    theirs = np.flatnonzero(np.isin(item_of_row, np.array(list(wanted), np.int64)))
    for start in range(0, len(theirs), _BLOCK):
        check()
        some = theirs[start : start + _BLOCK]
        ids = _names(snapshot, live, some, lambda part: part.ids)
        for place, number, id_ in zip(some.tolist(), item_of_row[some].tolist(), ids, strict=True):
            places = wanted[number]
            places.append((_rank(id_), Place(int(live.views[place]), int(live.rows[place]))))
            if len(places) > 2 * each:
                places[:] = heapq.nsmallest(each, places, key=_first)
    return [
        Sampled(item, int(counts[number]), [place for _, place in heapq.nsmallest(each, wanted[number], key=_first)])
        for number, item in chosen
    ]


@dataclass(frozen=True, eq=False)
class _LiveRows:
    """All live rows of a snapshot, by columns: as strings, the items of a large gallery would fill the heap."""

    views: NDArray[np.int32]
    rows: Offsets
    checksums: NDArray[np.uint32]
    """CRC-32 of the items."""
    digests: NDArray[np.int64]
    """Of 64 bits: rows with the same one are of one item."""


def _live_rows(snapshot: Snapshot, check: Callable[[], None]) -> _LiveRows:
    views, rows = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    checksums, digests = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for index, view in enumerate(snapshot.views):
        live = view.live.offsets()
        views.append(np.full(len(live), index, np.int32))
        rows.append(live)
        # In blocks, since a loop over a million names must leave the interpreter to searches now and then.
        for start in range(0, len(live), _BLOCK):
            check()
            items = view.part.items.take(live[start : start + _BLOCK])
            checksums.append(np.fromiter((zlib.crc32(item.encode()) for item in items), np.uint32, len(items)))
            digests.append(np.fromiter((hash(item) for item in items), np.int64, len(items)))
    return _LiveRows(np.concatenate(views), np.concatenate(rows), np.concatenate(checksums), np.concatenate(digests))


def _first_items(snapshot: Snapshot, live: _LiveRows, first: Offsets, most: int) -> list[tuple[int, str]]:
    """Return the numbers and names of the items that come first by rank, `first` being a row of each item."""
    checksums = live.checksums[first]
    candidates = np.arange(len(first))
    if len(first) > most:
        candidates = np.flatnonzero(checksums <= np.partition(checksums, most - 1)[most - 1])
    names = _names(snapshot, live, first[candidates], lambda part: part.items)
    ranked = sorted(zip(candidates.tolist(), names, strict=True), key=lambda candidate: _rank(candidate[1]))
    return ranked[:most]


def _names(snapshot: Snapshot, live: _LiveRows, places: Offsets, column: Callable[[Part], Names]) -> list[str]:
    names = np.empty(len(places), np.object_)
    for index, view in enumerate(snapshot.views):
        here = live.views[places] == index
        names[here] = column(view.part).take(live.rows[places[here]])
    found: list[str] = names.tolist()
    return found


def _rank(name: str) -> tuple[int, str]:
    return zlib.crc32(name.encode()), name


def _first(entry: tuple[tuple[int, str], Place]) -> tuple[int, str]:
    return entry[0]
