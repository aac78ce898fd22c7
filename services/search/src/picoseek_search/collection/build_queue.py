"""The one thread of a node in which indexes are built."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class BuildQueue:
    """Builds one thing after the other. Work that could wait is told when other work cannot."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        """Build in the one thread of an executor."""
        self._executor = executor
        self._due: set[Future[None]] = set()
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], None]) -> Future[None]:
        """Queue work that searches wait for."""
        future = self._executor.submit(work)
        with self._lock:
            self._due.add(future)
        future.add_done_callback(self._forget)
        return future

    def submit_idle(self, work: Callable[[], None]) -> Future[None]:
        """Queue work that can wait; while it is done it asks `has_due` now and then and gives way."""
        return self._executor.submit(work)

    @property
    def has_due(self) -> bool:
        """Whether work that searches wait for stands in the queue."""
        with self._lock:
            return any(not future.running() and not future.done() for future in self._due)

    def shutdown(self) -> None:
        """End the thread after what is being built; nothing else is begun."""
        self._executor.shutdown(cancel_futures=True)

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._due.discard(future)
