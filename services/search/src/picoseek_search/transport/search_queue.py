"""Searches that wait for their turn: those that ask for the same are made together."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from picoseek_chassis import errors

from picoseek_search.transport.arrivals import Arrivals
from picoseek_search.transport.search_costs import SearchCosts

WorkT = TypeVar("WorkT")
AnswerT = TypeVar("AnswerT")
Outcome: TypeAlias = AnswerT | Exception

MOST_QUERIES = 16
"""Queries that are made together. From 20 on Faiss compares squared distances by matrices, which rounds otherwise."""
_LOOK_AHEAD = 64


@dataclass(eq=False)
class _Waiting(Generic[WorkT, AnswerT]):
    work: WorkT
    key: Hashable
    queries: int
    deadline: float | None
    over: Callable[[bool], None]
    kind: Hashable | None
    answer: asyncio.Future[AnswerT]
    is_begun: bool = False


class SearchQueue(Generic[WorkT, AnswerT]):
    """Searches in the order in which they came, of one event loop.

    There is no timer: a search that finds an idle thread begins at once, alone. A thread that becomes free takes the
    oldest search and those that can be made with it, but leaves the other threads their share. What was made together
    wakes the event loop once.

    Searches of a kind that was seen to be light are made in the event loop itself, together with those that come in
    at about the same time: threads would cost more than they do.
    """

    def __init__(
        self, search: Callable[[Sequence[WorkT]], Sequence[Outcome[AnswerT]]], executor: Executor, threads: int
    ) -> None:
        """Make a queue.

        Args:
            search: makes searches of one key together and returns an outcome each; if it raises, they are made singly.
            executor: where it runs.
            threads: how many of its threads search.
        """
        self._search = search
        self._executor = executor
        self._threads = threads
        self._waiting: deque[_Waiting[WorkT, AnswerT]] = deque()
        self._light: deque[_Waiting[WorkT, AnswerT]] = deque()
        self._arrivals = Arrivals(MOST_QUERIES)
        self._costs = SearchCosts()
        self._lock = threading.Lock()
        self._busy = 0

    def submit(
        self,
        work: WorkT,
        *,
        key: Hashable,
        queries: int,
        deadline: float | None,
        over: Callable[[bool], None],
        kind: Hashable | None = None,
    ) -> asyncio.Future[AnswerT]:
        """Queue a search; called in the event loop, does not block.

        Args:
            work: what to do.
            key: equal for searches that can be made together.
            queries: how many it has.
            deadline: `time.monotonic()` after which it is not begun any more; None: none.
            over: called once with whether it was made; False: nobody waited for it any more when its turn came.
            kind: what its time depends on, if that is computing in memory alone; None: it may wait for a disk or take
                much longer than others of its kind, so that it is never made in the event loop.

        Returns:
            Its answer; cancel it to wait no more.
        """
        loop = asyncio.get_running_loop()
        waiting: _Waiting[WorkT, AnswerT] = _Waiting(work, key, queries, deadline, over, kind, loop.create_future())
        waiting.answer.add_done_callback(lambda answer: self._left(waiting) if answer.cancelled() else None)
        if kind is not None and self._costs.is_light(kind, queries):
            if not self._light:
                loop.call_soon(self._make_light, loop)
            self._light.append(waiting)
            return waiting.answer
        with self._lock:
            self._waiting.append(waiting)
            is_looked_after = self._busy == self._threads
            if not is_looked_after:
                self._busy += 1
        if not is_looked_after:
            self._executor.submit(self._drain, loop)
        return waiting.answer

    def _left(self, waiting: _Waiting[WorkT, AnswerT]) -> None:
        with self._lock:
            is_dropped = not waiting.is_begun
            waiting.is_begun = True
        if is_dropped:
            waiting.over(False)

    def _make_light(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._arrivals.is_worth_a_turn(len(self._light)):
            # The core, too, if gRPC's own threads have to share it.
            os.sched_yield()
            loop.call_soon(self._make_light, loop)
            return
        with self._lock:
            batch = _next_batch(self._light, len(self._light))
        if self._light:
            # Not at once, so that calls that come and go are looked after in between.
            loop.call_soon(self._make_light, loop)
        if batch:
            begun = time.thread_time()
            outcomes = self._outcomes(batch)
            self._note(batch, time.thread_time() - begun)
            _deliver(batch, outcomes)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        while (batch := self._take()) is not None:
            if batch:
                begun = time.thread_time()
                outcomes = self._outcomes(batch)
                self._note(batch, time.thread_time() - begun)
                loop.call_soon_threadsafe(_deliver, batch, outcomes)

    def _take(self) -> list[_Waiting[WorkT, AnswerT]] | None:
        with self._lock:
            if not self._waiting:
                self._busy -= 1
                return None
            return _next_batch(self._waiting, -(-len(self._waiting) // self._threads))

    def _note(self, batch: Sequence[_Waiting[WorkT, AnswerT]], seconds: float) -> None:
        kind = batch[0].kind
        if kind is not None:
            self._costs.add(kind, sum(waiting.queries for waiting in batch), seconds)

    def _outcomes(self, batch: Sequence[_Waiting[WorkT, AnswerT]]) -> list[Outcome[AnswerT]]:
        now = time.monotonic()
        in_time = [waiting.deadline is None or now < waiting.deadline for waiting in batch]
        made = iter(self._made([waiting.work for waiting, is_wanted in zip(batch, in_time, strict=True) if is_wanted]))
        return [next(made) if is_wanted else _late() for is_wanted in in_time]

    def _made(self, works: Sequence[WorkT]) -> Sequence[Outcome[AnswerT]]:
        if not works:
            return []
        try:
            return self._search(works)
        except Exception as error:
            if len(works) == 1:
                return [error]
            # One of them is at fault; only by itself it fails by itself.
            return [outcome for work in works for outcome in self._made([work])]


def _next_batch(waiting: deque[_Waiting[WorkT, AnswerT]], most_searches: int) -> list[_Waiting[WorkT, AnswerT]]:
    """Take the oldest search and those that can be made with it; returns those that somebody still waits for."""
    batch = [waiting.popleft()]
    queries = batch[0].queries
    others: list[_Waiting[WorkT, AnswerT]] = []
    while waiting and len(batch) < most_searches and queries < MOST_QUERIES and len(others) < _LOOK_AHEAD:
        search = waiting.popleft()
        if search.key == batch[0].key and queries + search.queries <= MOST_QUERIES:
            batch.append(search)
            queries += search.queries
        else:
            others.append(search)
    waiting.extendleft(reversed(others))
    wanted = [search for search in batch if not (search.is_begun or search.answer.cancelled())]
    for search in wanted:
        search.is_begun = True
    return wanted


def _deliver(batch: Sequence[_Waiting[WorkT, AnswerT]], outcomes: Sequence[Outcome[AnswerT]]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        waiting.over(True)
        if waiting.answer.done():
            continue
        if isinstance(outcome, Exception):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)


def _late() -> errors.ServiceError:
    return errors.deadline_exceeded("the deadline passed before the search began; allow more time")
