"""How a part of a service ends the whole service."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class ServiceFailedError(Exception):
    """A service had to stop by itself; the message says why and what to do."""


_STOP: ContextVar[Callable[[str], None]] = ContextVar("picoseek_stop")


def stop_service(reason: str) -> None:
    """Stop the service that runs the calling task in order, and let its process end with a failure.

    Args:
        reason: why it cannot go on and what to do; the last line of the log. Only the first one counts.

    Raises:
        LookupError: the task belongs to no service.
    """
    _STOP.get()(reason)


def take_failures(stop: Callable[[str], None]) -> None:
    """Have `stop` called with the reason when a task that starts from here on stops the service."""
    _STOP.set(stop)
