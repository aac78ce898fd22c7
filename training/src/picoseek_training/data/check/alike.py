"""Groups of pictures that look the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.check.picture_state import PictureState

_BANDS = 4
_BAND_BITS = 16
MOST_DIFFERENT_BITS = _BANDS - 1
"""Of 64. Hashes that differ in fewer bits than there are bands agree in one band whole, so that none is overlooked."""
MOST_DIFFERENT_COLOUR = 6.0
"""Mean difference of the cells' colours, in grey levels."""
_ONES = np.array([bin(value).count("1") for value in range(1 << _BAND_BITS)], np.uint8)


def alike(states: Sequence[PictureState]) -> list[list[int]]:
    """Return the groups of two and more that look the same, each in rising order; likeness carries over in a group."""
    if not states:
        return []
    bands = np.array(
        [
            [state.gradients >> (_BAND_BITS * band) & ((1 << _BAND_BITS) - 1) for band in range(_BANDS)]
            for state in states
        ],
        np.uint16,
    )
    colours = np.stack([state.colours for state in states]).reshape(len(states), -1).astype(np.int16)
    parents = list(range(len(states)))
    for band in range(_BANDS):
        for members in _buckets(bands[:, band]):
            _join(members, bands, colours, parents)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(states)):
        groups[_root(index, parents)].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _buckets(keys: NDArray[np.uint16]) -> list[NDArray[np.int64]]:
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    return [bucket for bucket in np.split(order, ends) if len(bucket) > 1]


def _join(
    members: NDArray[np.int64], bands: NDArray[np.uint16], colours: NDArray[np.int16], parents: list[int]
) -> None:
    for at, index in enumerate(members[:-1]):
        rest = members[at + 1 :]
        bits = _ONES[bands[rest] ^ bands[index]].sum(axis=1)
        close = rest[bits <= MOST_DIFFERENT_BITS]
        difference = np.abs(colours[close] - colours[index]).mean(axis=1)
        for other in close[difference <= MOST_DIFFERENT_COLOUR]:
            one, two = sorted((_root(int(index), parents), _root(int(other), parents)))
            parents[two] = one


def _root(index: int, parents: list[int]) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
