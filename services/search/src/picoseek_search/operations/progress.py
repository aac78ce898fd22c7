"""What work that outlasts a call tells of itself, and how it hears that it shall stop."""

from __future__ import annotations

import threading
from collections.abc import Callable


class OperationStoppedError(Exception):
    """The operation was cancelled, or the service is stopping: undo what is half done and let this pass."""


class Progress:
    """Shared between the work and those who ask about it. All methods may be called from any thread."""

    def __init__(self, total: int = 0) -> None:
        """Begin at nothing done of `total` units; 0: not known yet."""
        self._done = 0
        self._total = total
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._on_stop: Callable[[], object] = lambda: None

    @property
    def done(self) -> int:
        """Units done."""
        return self._done

    @property
    def total(self) -> int:
        """Units in all; 0: not known yet."""
        return self._total

    @property
    def is_stopping(self) -> bool:
        """Whether the work shall stop."""
        return self._stopping.is_set()

    def expect(self, total: int) -> None:
        """Note how many units there are in all."""
        self._total = total

    def advance(self, count: int = 1) -> None:
        """Note that so many more units are done; a negative count takes some back."""
        with self._lock:
            self._done += count

    def check(self) -> None:
        """Go on, or stop. Work calls it at least every second or so.

        Raises:
            OperationStoppedError: the work shall stop.
        """
        if self.is_stopping:
            raise OperationStoppedError

    def on_stop(self, action: Callable[[], object]) -> None:
        """Have something short called, in any thread, when the work shall stop; it replaces what was given before."""
        with self._lock:
            self._on_stop = action
            if not self.is_stopping:
                return
        action()

    def stop(self) -> None:
        """Have the next check() raise."""
        with self._lock:
            self._stopping.set()
            action = self._on_stop
        action()
