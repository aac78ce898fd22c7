"""One item on its way through an engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class Entry:
    """A prepared item that waits for an engine, with its timestamps. Times are the event loop's clock, in seconds."""

    slot: int
    """Slot of the arena that holds the item."""
    deadline: float
    """When the result is worthless."""
    result: asyncio.Future[NDArray[Any]]
    """The item's part of the batch's result; cancelled when nobody waits for it any more."""
    queued_at: float
    """When it came into the queue."""
    started_at: float = field(default=0.0)
    """When its batch went to an engine; 0: not yet."""
    finished_at: float = field(default=0.0)
    """When its batch came back; 0: not yet."""

    @property
    def queue_s(self) -> float:
        """Seconds in the queue."""
        return self.started_at - self.queued_at

    @property
    def engine_s(self) -> float:
        """Seconds in the engine."""
        return self.finished_at - self.started_at
