"""Searches for a gallery's own references, each left out of the gallery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from picoseek_search.calibration.references import OwnItem, References
from picoseek_search.collection.reference_sample import Sampled, sample
from picoseek_search.collection.search import Query, Target, search
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.specification import Specification
from picoseek_search.segment.metric import Metric

_UNIT_LENGTH_WITHIN = 1e-3


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What was measured on a snapshot."""

    references: References
    """One row a reference."""
    unit_length: bool
    """All of them have length 1."""


def measure(snapshot: Snapshot, specification: Specification, check: Callable[[], None]) -> LeftOut:
    """Search for references as live queries are searched for, in the gallery without them.

    The same documents give the same references, whatever parts they lie in: those with the smallest checksums of item
    and id.

    Args:
        snapshot: the gallery.
        specification: how it is searched.
        check: called now and then; an exception that it raises ends the work.
    """
    metric = specification.metric
    targets = [Target(view.part, view.live) for view in snapshot.views]
    rows: list[tuple[int, float, float, float, int]] = []
    lengths_are_one = True
    for number, sampled in enumerate(sample(snapshot, specification, check)):
        for place in sampled.places:
            check()
            view = snapshot.views[place.view]
            here = np.array([place.row])
            vector = view.part.segment.vectors(here)
            if metric is Metric.INNER_PRODUCT:
                lengths_are_one &= abs(float(np.linalg.norm(vector)) - 1) < _UNIT_LENGTH_WITHIN
            without = [
                Target(target.part, target.selected.without(here)) if index == place.view else target
                for index, target in enumerate(targets)
            ]
            query = Query(
                vectors=np.ascontiguousarray(vector),
                k=2,
                exact=specification.exact,
                ef=specification.ef,
                max_per_item=1,
                nprobe=specification.nprobe,
                rerank=specification.rerank,
            )
            found = search([target for target in without if target.selected.count], query, metric)
            if len(found.ids) == 2:
                rows.append((number, *_scores(found.items, found.scores.tolist(), sampled)))
    return LeftOut(_columns(rows), lengths_are_one)


def _scores(items: list[str], scores: list[float], sampled: Sampled) -> tuple[float, float, float, int]:
    """Return the columns of References but the item."""
    is_own = [item == sampled.item for item in items]
    if sampled.references == 1:
        own = OwnItem.GONE
    elif is_own[0]:
        own = OwnItem.BEST
    else:
        own = OwnItem.SECOND if is_own[1] else OwnItem.BEHIND
    return scores[1] if is_own[0] else scores[0], scores[0], scores[1], int(own)


def _columns(rows: list[tuple[int, float, float, float, int]]) -> References:
    table = np.array(rows, np.float64).reshape(-1, 5)
    return References(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.float32),
        table[:, 2].astype(np.float32),
        table[:, 3].astype(np.float32),
        table[:, 4].astype(np.int8),
    )
