"""Searches some live queries again, exactly, when nothing else is to be done."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from picoseek_search.collection.options import RecallOptions
from picoseek_search.collection.search import Found, Query, Target, reach_of, search
from picoseek_search.collection.workers import Workers
from picoseek_search.recall.window import RecallWindow
from picoseek_search.segment.metric import Metric

_LOG = logging.getLogger(__name__)

_PAUSE_S = 0.02
_OLDEST_S = 5.0
_MOST_WAITING = 4


@dataclass(frozen=True, eq=False)
class _Sample:
    targets: Sequence[Target]
    query: Query
    ids: frozenset[str]
    scores: tuple[float, ...]
    taken: float


class RecallWatch:
    """Takes a small share of a collection's queries and searches them again, with all their settings.

    They are searched in what they were searched in then. The thread for watching does it when there was no search for
    20 ms; a query that waited for 5 s is let go, since it keeps the parts that it was searched in alive.
    """

    def __init__(
        self,
        metric: Metric,
        workers: Workers,
        options: RecallOptions,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Watch a collection.

        Args:
            metric: how it compares.
            workers: threads.
            options: how many queries.
            chance: draws a number from 0 up to 1.
        """
        self.window = RecallWindow()
        """What was found out."""
        self._metric = metric
        self._workers = workers
        self._options = options
        self._chance = chance
        self._lock = threading.Lock()
        self._next = 0.0
        self._waiting = 0
        self._closed = False

    def offer(self, targets: Sequence[Target], query: Query, found: Found) -> None:
        """Take a query of a search, or none; does not block.

        Args:
            targets: where it was made.
            query: its queries and settings.
            found: what it found.
        """
        # A search of many queries is as likely to be taken as so many searches, and counts by one of them.
        if query.exact or not targets or self._chance() >= self._options.share * len(query.vectors):
            return
        if all(reach.is_exact for reach in reach_of(targets, query)):
            return
        if not self._reserve():
            return
        place = int(self._chance() * len(query.vectors))
        start, end = found.offsets[place], found.offsets[place + 1]
        sample = _Sample(
            targets,
            replace(query, vectors=np.ascontiguousarray(query.vectors[place : place + 1])),
            frozenset(found.ids[start:end]),
            tuple(found.scores[start:end].tolist()),
            time.monotonic(),
        )
        try:
            self._workers.watch.submit(self._check, sample)
        except RuntimeError:  # the threads have ended
            self._release()

    def close(self) -> None:
        """Take no more queries; those that wait are let go."""
        self._closed = True

    def _reserve(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if self._closed or now < self._next or self._waiting >= _MOST_WAITING:
                return False
            self._next = now + 1 / self._options.most_a_second
            self._waiting += 1
            return True

    def _release(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _check(self, sample: _Sample) -> None:
        try:
            if self._workers.activity.wait_for_pause(_PAUSE_S, sample.taken + _OLDEST_S, self._is_over):
                again = search(sample.targets, replace(sample.query, exact=True), self._metric)
                self.window.add(_share_found(sample, again, self._metric))
            else:
                self.window.miss()
        except Exception:
            _LOG.exception("a search could not be checked")
        finally:
            self._release()

    def _is_over(self) -> bool:
        return self._closed or self._workers.stopping.is_set()


def _share_found(sample: _Sample, exact: Found, metric: Metric) -> float:
    """Return the share of the exact hits that were found; one that is as close as the last of them is as good."""
    count = len(exact.ids)
    if not count:
        return 1.0
    sign = 1.0 if metric.larger_is_closer else -1.0
    last = sign * float(exact.scores[-1])
    tied = sum(sign * score >= last for score in sample.scores)
    return min(1.0, max(len(sample.ids.intersection(exact.ids)), min(tied, count)) / count)
