"""How much work the service takes on."""

from __future__ import annotations

import asyncio
from collections import deque

from picoseek_chassis.errors import resource_exhausted


class Admission:
    """Counts units of work under way. It refuses new work above a limit, never what follows from admitted work."""

    def __init__(self, unit: str, limit: int) -> None:
        """Make an empty count.

        Args:
            unit: what is counted, for messages: "pictures".
            limit: units under way from which on new work is refused.
        """
        self._unit = unit
        self.limit = limit
        """Units under way from which on new work is refused."""
        self._pending = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def pending(self) -> int:
        """Units under way."""
        return self._pending

    def admit(self, units: int, item_delay_s: float) -> None:
        """Take new work on.

        Args:
            units: how much.
            item_delay_s: seconds in which a unit is worked off, for the delay that a refused caller is told.

        Raises:
            ServiceError: OVERLOADED with the time after which there should be room.
        """
        excess = self._pending + units - self.limit
        if excess > 0:
            raise resource_exhausted(
                "OVERLOADED",
                f"{self._pending} {self._unit} are under way and the limit is {self.limit}; send again after the delay",
                retry_after_s=min(max(excess * item_delay_s, 0.05), 30.0),
                pending=str(self._pending),
                limit=str(self.limit),
            )
        self._pending += units

    async def admit_in_turn(self, units: int) -> None:
        """Take new work on as soon as there is room; it must not be more than the limit."""
        if not self._waiting and self._pending + units <= self.limit:
            self._pending += units
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((units, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._pending -= units
            self._wake()
            raise

    def add(self, units: int) -> None:
        """Count work that follows from admitted work."""
        self._pending += units

    def release(self, units: int) -> None:
        """Count work as done."""
        self._pending -= units
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            units, future = self._waiting[0]
            if not future.done():
                if self._pending + units > self.limit:
                    return
                self._pending += units
                future.set_result(None)
            self._waiting.popleft()
