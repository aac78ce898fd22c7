"""Notices that nothing has happened for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

After = Callable[[float, Callable[[], None]], Callable[[], object]]
"""Calls something in so many seconds, in some thread; returns how to have it not called."""


def after(seconds: float, action: Callable[[], None]) -> Callable[[], object]:
    """Call something in so many seconds, in a thread of its own."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    return timer.cancel


class IdleAlarm:
    """Calls an action when nothing was noted for some seconds. Methods may be called from any thread."""

    def __init__(
        self,
        quiet_s: float,
        action: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        after: After = after,
    ) -> None:
        """Make an alarm that is not set yet.

        Args:
            quiet_s: after so many seconds; 0: never.
            action: what is called, once for each quiet time.
            clock: seconds that only grow.
            after: see After.
        """
        self._quiet_s = quiet_s
        self._action = action
        self._clock = clock
        self._after = after
        self._lock = threading.Lock()
        self._last = 0.0
        self._cancel: Callable[[], object] | None = None
        self._closed = False

    def note(self) -> None:
        """Note that something happened: the quiet time begins now."""
        with self._lock:
            self._last = self._clock()
            if self._cancel is None:
                self._set(self._quiet_s)

    def close(self) -> None:
        """Call nothing any more."""
        with self._lock:
            self._closed = True
            if self._cancel is not None:
                self._cancel()

    def _set(self, seconds: float) -> None:
        if self._quiet_s and not self._closed:
            self._cancel = self._after(seconds, self._ring)

    def _ring(self) -> None:
        with self._lock:
            self._cancel = None
            remaining = self._last + self._quiet_s - self._clock()
            if remaining > 0 or self._closed:
                self._set(remaining)
                return
        self._action()
