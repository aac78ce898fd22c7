"""A bound on the work that runs or waits, with an honest answer to what is over it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from picoseek_chassis import errors

_Result = TypeVar("_Result")

_SMOOTHING = 0.1
_LEAST_DELAY_S = 0.01
_MOST_DELAY_S = 10.0


class Admission:
    """Counts units of work from acceptance to the end of the work itself, whether or not its caller still waits."""

    def __init__(self, name: str, limit: int) -> None:
        """Make a bound.

        Args:
            name: what is counted, for messages.
            limit: units at a time; a single piece of work of more units is taken when nothing else is there.
        """
        self._name = name
        self.limit = limit
        """Units at a time."""
        self.units = 0
        """Units that run or wait."""
        self._seconds_a_unit = 0.0
        self._lock = threading.Lock()

    async def run(self, executor: Executor, units: int, deadline: float | None, work: Callable[[], _Result]) -> _Result:
        """Do work in a thread.

        Args:
            executor: where.
            units: how much it is.
            deadline: `time.monotonic()` after which it is not begun any more; None: none.
            work: what.

        Raises:
            ServiceError: OVERLOADED or DEADLINE_EXCEEDED, or what `work` raises.
        """

        def begin() -> _Result:
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.deadline_exceeded("the deadline passed before the work began; allow more time")
            return work()

        return await self.watch(units, lambda: executor.submit(begin))

    async def watch(self, units: int, start: Callable[[], Future[_Result]]) -> _Result:
        """Count work that somebody else does; cancelling the wait cancels it if it has not begun.

        Raises:
            ServiceError: OVERLOADED, or what the work raises.
        """
        over = self.admit(units)
        try:
            future = start()
        except BaseException:
            over(False)
            raise
        future.add_done_callback(lambda done: over(not done.cancelled()))
        return await asyncio.wrap_future(future)

    def admit(self, units: int) -> Callable[[bool], None]:
        """Count work until what is returned is called, once, with whether the work was done or dropped.

        Raises:
            ServiceError: OVERLOADED.
        """
        self._enter(units)
        begun = time.monotonic()
        return lambda is_done: self._over(units, begun, is_done)

    def _enter(self, units: int) -> None:
        with self._lock:
            if self.units and self.units + units > self.limit:
                delay = min(max(self.units * self._seconds_a_unit, _LEAST_DELAY_S), _MOST_DELAY_S)
                raise errors.resource_exhausted(
                    "OVERLOADED",
                    f"{self.units} {self._name} are under way and {self.limit} is the limit; "
                    f"send it again in {delay:.2f} s",
                    retry_after_s=delay,
                    waiting=str(self.units),
                    limit=str(self.limit),
                )
            self.units += units

    def _over(self, units: int, begun: float, is_done: bool) -> None:
        with self._lock:
            # What was there while it waited went through in that time.
            if is_done:
                rate = (time.monotonic() - begun) / max(self.units, 1)
                self._seconds_a_unit += _SMOOTHING * (rate - self._seconds_a_unit)
            self.units -= units
