"""Group commit: writes that wait while one is being committed go into the next transaction together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_chassis.errors import ServiceError
from picoseek_protos.log.v1 import record_pb2

from picoseek_search.storage.log import Revision
from picoseek_search.storage.requests import WriteCounts

Change: TypeAlias = record_pb2.UpsertChange | record_pb2.DeleteChange | record_pb2.DeleteByFilterChange


@dataclass(frozen=True)
class WriteResult:
    """A write that is on disk."""

    revision: Revision
    """Where it stands in the order of writes."""
    counts: WriteCounts
    """What it did."""
    already_applied: bool
    """It was applied before; the figures are those of that time."""


@dataclass(frozen=True, eq=False)
class Write:
    """A write that waits to be applied."""

    change: Change
    """What to do."""
    request_id: str
    """Name of the write."""
    content: bytes
    """Digest of what the caller asked for."""
    accepted_at: Timestamp
    """When it came."""
    size: int
    """Its bytes."""
    schema_version: int
    """Specification.schema_version for which it was checked."""
    future: Future[WriteResult] = field(default_factory=lambda: Future[WriteResult]())
    """Its outcome."""


Outcome: TypeAlias = WriteResult | ServiceError


class WriteQueue:
    """Writes in the order in which they came, applied by one thread at a time.

    There is no timer: a write that finds nobody at work is applied at once.
    """

    def __init__(
        self, apply: Callable[[Sequence[Write]], Sequence[Outcome]], executor: Executor, max_group_bytes: int
    ) -> None:
        """Make a queue.

        Args:
            apply: applies writes in one transaction and returns an outcome each; if it raises, none was applied.
            executor: where it runs.
            max_group_bytes: writes of more bytes than this are not put together; a single one may be longer.
        """
        self._apply = apply
        self._executor = executor
        self._max_group_bytes = max_group_bytes
        self._waiting: deque[Write] = deque()
        self._lock = threading.Lock()
        self._busy = False
        self._idle = threading.Condition(self._lock)
        self._closed: Callable[[], ServiceError] | None = None

    def submit(self, write: Write) -> None:
        """Queue a write; its future may be cancelled until its turn comes.

        Raises:
            ServiceError: the queue is closed.
        """
        with self._lock:
            if self._closed is not None:
                raise self._closed()
            self._waiting.append(write)
            if self._busy:
                return
            self._busy = True
        self._executor.submit(self._drain)

    def close(self, answer: Callable[[], ServiceError]) -> None:
        """Take no more writes, refuse those that wait, and return when the one under way is done."""
        with self._lock:
            self._closed = answer
            refused = list(self._waiting)
            self._waiting.clear()
        for write in refused:
            if write.future.set_running_or_notify_cancel():
                write.future.set_exception(answer())
        with self._idle:
            self._idle.wait_for(lambda: not self._busy)

    def _drain(self) -> None:
        group = self._take()
        if group:
            self._settle(group)
        with self._lock:
            if not self._waiting:
                self._busy = False
                self._idle.notify_all()
                return
        # Behind the other collections' work, so that a busy one does not keep a thread to itself.
        self._executor.submit(self._drain)

    def _take(self) -> list[Write]:
        group: list[Write] = []
        size = 0
        with self._lock:
            while self._waiting and (not group or size + self._waiting[0].size <= self._max_group_bytes):
                write = self._waiting.popleft()
                if write.future.set_running_or_notify_cancel():
                    group.append(write)
                    size += write.size
        return group

    def _settle(self, group: Sequence[Write]) -> None:
        try:
            outcomes = self._apply(group)
        except Exception as error:  # whatever it was, every caller must hear of it
            for write in group:
                write.future.set_exception(error)
            return
        for write, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, ServiceError):
                write.future.set_exception(outcome)
            else:
                write.future.set_result(outcome)
