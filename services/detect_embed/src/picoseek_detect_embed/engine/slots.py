"""Which slots of an arena are free, and who gets the next one."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class SlotPool:
    """Hands out slot numbers; when there are none, the caller with the earliest deadline comes first."""

    def __init__(self, slots: int) -> None:
        # The slot given back last is used first, so that a quiet service touches little memory.
        self._free = list(range(slots - 1, -1, -1))
        self._waiting: list[tuple[float, int, asyncio.Future[int]]] = []
        self._order = itertools.count()

    @property
    def free(self) -> int:
        """Number of free slots."""
        return len(self._free)

    async def acquire(self, deadline: float) -> int:
        """Return a slot that is the caller's until `release`.

        Args:
            deadline: by the event loop's clock, in seconds; it decides the order alone and does not end the wait.
        """
        if self._free:
            return self._free.pop()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        entry = (deadline, next(self._order), future)
        heapq.heappush(self._waiting, entry)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def release(self, slot: int) -> None:
        """Give a slot back."""
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(slot)
                return
        self._free.append(slot)
