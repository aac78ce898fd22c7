"""Which labelled pictures are learned from and which are kept to measure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.example import Example
from picoseek_training.data.labelled_files import LabelsError

_PART = 5
_MOST = 1000
_NAMED = 5


def check_classes(examples: Sequence[Example], lost: Sequence[Example] = ()) -> None:
    """Refuse labels of which nothing can be both learned and measured.

    Args:
        examples: usable pictures.
        lost: pictures that cannot be read.

    Raises:
        LabelsError: there are fewer than two classes, or some have fewer than two pictures.
    """
    rows = _rows_by_class([*examples, *lost])
    usable = _rows_by_class(examples)
    if len(rows) < 2:
        raise LabelsError(f"all pictures are of one class, {next(iter(rows))!r}; give pictures of at least two")
    small = [label for label in rows if len(usable.get(label, ())) < 2]
    if small:
        more = f" and {len(small) - _NAMED} more" if len(small) > _NAMED else ""
        readable = " that can be read" if lost else ""
        raise LabelsError(
            f"of these classes there are fewer than two pictures{readable}: {', '.join(small[:_NAMED])}{more}; "
            "one is learned from and another measured with, so give at least two or leave the class out"
        )


def hold_out(examples: Sequence[Example], seed: int = 0) -> NDArray[np.bool_]:
    """Return which pictures to keep for measuring: a fifth of each class, at least one, and at most 1000 in all."""
    rng = np.random.default_rng(seed)
    kept: list[int] = []
    for rows in _rows_by_class(examples).values():
        kept += rng.permutation(rows)[: max(1, len(rows) // _PART)].tolist()
    chosen = rng.permutation(kept)[:_MOST]
    held = np.zeros(len(examples), bool)
    held[chosen] = True
    return held


def _rows_by_class(examples: Sequence[Example]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        rows[str(example.label)].append(row)
    return rows
