"""Whether searches are being made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

_LEAST_WAIT_S = 0.005


class Activity:
    """Counts the searches under way, so that other work can wait for a pause. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._last = time.monotonic()

    @contextmanager
    def busy(self) -> Generator[None]:
        """Note that a search is under way."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._last = time.monotonic()

    def is_recent(self, within_s: float) -> bool:
        """Return whether a search is under way, or was within so many seconds."""
        with self._lock:
            return bool(self._under_way) or time.monotonic() - self._last < within_s

    def wait_for_pause(self, pause_s: float, until: float, give_up: Callable[[], bool]) -> bool:
        """Wait until there was no search for so many seconds.

        Args:
            pause_s: how long.
            until: `time.monotonic()` from which on not to wait any more.
            give_up: asked now and then whether to stop waiting.

        Returns:
            Whether the pause is there.
        """
        while True:
            now = time.monotonic()
            with self._lock:
                quiet_s = 0.0 if self._under_way else now - self._last
            if quiet_s >= pause_s:
                return True
            if now >= until or give_up():
                return False
            # Each look takes the interpreter from the searches that it waits for.
            time.sleep(max(_LEAST_WAIT_S, pause_s - quiet_s))
