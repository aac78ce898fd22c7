"""Callers that wait for a revision."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from picoseek_search.storage.log import Revision


class RevisionWaiters:
    """Wakes callers when what they wait for is there."""

    def __init__(self, reached: Revision) -> None:
        self._reached = reached
        self._waiting: list[tuple[Revision, Future[None]]] = []
        self._lock = threading.Lock()

    def add(self, revision: Revision) -> Future[None]:
        """Return a future that is done once the revision is reached; cancel it to wait no more."""
        future = Future[None]()
        with self._lock:
            if revision > self._reached:
                self._waiting = [entry for entry in self._waiting if not entry[1].cancelled()]
                self._waiting.append((revision, future))
                return future
        future.set_result(None)
        return future

    def reach(self, revision: Revision) -> None:
        """Note the newest revision."""
        with self._lock:
            self._reached = max(self._reached, revision)
            due = [entry for entry in self._waiting if entry[0] <= self._reached]
            self._waiting = [entry for entry in self._waiting if entry[0] > self._reached]
        for _, future in due:
            if future.set_running_or_notify_cancel():
                future.set_result(None)
