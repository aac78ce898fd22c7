"""Runs work that outlasts a call, and knows how it stands."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from google.rpc import status_pb2
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError, to_status
from picoseek_protos.v1 import operation_pb2

from picoseek_search.operations.operation_store import OperationStore, StoredOperation
from picoseek_search.operations.progress import OperationStoppedError, Progress

_NICENESS = 5
_RETRY_AFTER_FULL_S = 10.0
_RETRY_AFTER_STOP_S = 1.0
_ENDED = (
    operation_pb2.OPERATION_STATE_SUCCEEDED,
    operation_pb2.OPERATION_STATE_FAILED,
    operation_pb2.OPERATION_STATE_CANCELLED,
)

_LOG = logging.getLogger(__name__)

Work: TypeAlias = Callable[[Progress], str]
"""Does it and returns Operation.result. It calls Progress.check() now and then, and undoes what it has half done when
that or anything else raises. A ServiceError becomes Operation.error."""


def has_ended(operation: operation_pb2.Operation) -> bool:
    """Whether nothing more will happen to an operation."""
    return operation.state in _ENDED


@dataclass(eq=False)
class _Entry:
    number: int
    operation: operation_pb2.Operation
    progress: Progress
    on_end: Callable[[], None] | None = None
    is_cancelled: bool = False
    is_ending: bool = False
    waiting: list[Future[None]] = field(default_factory=lambda: list[Future[None]]())

    def shown(self) -> operation_pb2.Operation:
        shown = operation_pb2.Operation()
        shown.CopyFrom(self.operation)
        shown.done, shown.total = self.progress.done, self.progress.total
        return shown


class Operations:
    """The operations of a node. Methods may be called from any thread; they block for the time of a commit.

    An operation exists, on disk, from the moment that start() returns. One that a stop of the service interrupts is as
    it was when the service starts again: whoever can go on with it calls resume(); the others fail with
    OPERATION_INTERRUPTED.
    """

    def __init__(self, store: OperationStore, *, threads: int, max_waiting: int, keep: int) -> None:
        """Read what there is.

        Args:
            store: where operations are kept; closed by close().
            threads: operations that run at a time.
            max_waiting: operations that run or wait for their turn; more are refused.
            keep: newest ended operations that are remembered.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._store = store
        self._max_waiting = max_waiting
        self._keep = keep
        self._executor = ThreadPoolExecutor(threads, "operation", _give_way)
        self._lock = threading.Lock()
        self._closing = False
        self._entries: dict[str, _Entry] = {}
        """By id, oldest first."""
        for stored in store.all():
            progress = Progress(stored.operation.total)
            progress.advance(stored.operation.done)
            self._entries[stored.operation.id] = _Entry(stored.number, stored.operation, progress)
        self._interrupted = {id_ for id_, entry in self._entries.items() if not has_ended(entry.operation)}

    @staticmethod
    def new_id() -> str:
        """Return an id that was never used."""
        return secrets.token_hex(8)

    def start(
        self,
        kind: operation_pb2.OperationKind.ValueType,
        collection: str,
        work: Work,
        *,
        unit: str,
        total: int = 0,
        id_: str = "",
        on_end: Callable[[], None] | None = None,
    ) -> operation_pb2.Operation:
        """Have work done in a thread of its own, when its turn comes.

        Args:
            kind: what it does.
            collection: name of the collection that it works on.
            work: see Work.
            unit: what Progress counts: "documents", "bytes" or "blobs".
            total: units in all, if that is known.
            id_: what it is called; empty: a new one. If there is an operation of that id, it is returned and nothing
                begins.
            on_end: called once it has ended in whatever way, also without having run, and that is on disk; not when a
                stop of the service interrupts it.

        Raises:
            ServiceError: OVERLOADED, SHUTTING_DOWN, DISK_FULL.
        """
        operation = operation_pb2.Operation(
            id=id_ or self.new_id(),
            kind=kind,
            collection=collection,
            state=operation_pb2.OPERATION_STATE_PENDING,
            unit=unit,
            total=total,
        )
        operation.created_at.FromNanoseconds(time.time_ns())
        with self._lock:
            if operation.id in self._entries:
                return self._entries[operation.id].shown()
            self._check_open()
            waiting = sum(not has_ended(entry.operation) for entry in self._entries.values())
            if waiting >= self._max_waiting:
                raise errors.resource_exhausted(
                    "OVERLOADED",
                    f"{waiting} operations run or wait already; send it again later, or cancel some",
                    retry_after_s=_RETRY_AFTER_FULL_S,
                )
            entry = _Entry(self._store.add(operation), operation, Progress(total), on_end)
            self._entries[operation.id] = entry
            self._executor.submit(self._run, entry, work)
            return entry.shown()

    def resume(self, id_: str, work: Work, *, on_end: Callable[[], None] | None = None) -> None:
        """Go on with an operation that a stop of the service interrupted, or do it again; its progress starts anew.

        Raises:
            ServiceError: OPERATION_NOT_FOUND.
        """
        with self._lock:
            entry = self._entry(id_)
            self._interrupted.discard(id_)
            entry.progress = Progress(entry.operation.total)
            entry.on_end = on_end
            self._executor.submit(self._run, entry, work)

    def fail_interrupted(self) -> None:
        """Note that nobody goes on with those that a stop of the service interrupted and that were not resumed."""
        with self._lock:
            entries = [self._entries[id_] for id_ in sorted(self._interrupted)]
            self._interrupted.clear()
        for entry in entries:
            self._end(entry, operation_pb2.OPERATION_STATE_FAILED, error=to_status(_interrupted()))

    def find(self, id_: str) -> operation_pb2.Operation | None:
        """Return an operation, or None if there is none of that id."""
        with self._lock:
            entry = self._entries.get(id_)
            return None if entry is None else entry.shown()

    def get(self, id_: str) -> operation_pb2.Operation:
        """Return how an operation stands.

        Raises:
            ServiceError: OPERATION_NOT_FOUND.
        """
        with self._lock:
            return self._entry(id_).shown()

    def page(self, collection: str, before: int, limit: int) -> list[StoredOperation]:
        """Return operations, newest first.

        Args:
            collection: only those of this one; empty: all.
            before: only those of smaller numbers; 0: all.
            limit: how many at most.
        """
        found: list[StoredOperation] = []
        with self._lock:
            for entry in reversed(self._entries.values()):
                if (before and entry.number >= before) or collection not in ("", entry.operation.collection):
                    continue
                if len(found) == limit:
                    break
                found.append(StoredOperation(entry.number, entry.shown()))
        return found

    def when_ended(self, id_: str) -> Future[None]:
        """Return a future that is done once an operation has ended; cancel it to wait no more.

        Raises:
            ServiceError: OPERATION_NOT_FOUND.
        """
        future = Future[None]()
        with self._lock:
            entry = self._entry(id_)
            if not has_ended(entry.operation):
                entry.waiting = [one for one in entry.waiting if not one.cancelled()]
                entry.waiting.append(future)
                return future
        future.set_result(None)
        return future

    def cancel(self, id_: str) -> operation_pb2.Operation:
        """Ask an operation to stop; one that waits for its turn is ended at once, one that has ended stays as it is.

        Raises:
            ServiceError: OPERATION_NOT_FOUND.
        """
        with self._lock:
            entry = self._entry(id_)
            entry.is_cancelled = True
            entry.progress.stop()
            waits = entry.operation.state == operation_pb2.OPERATION_STATE_PENDING
        if waits:
            self._end(entry, operation_pb2.OPERATION_STATE_CANCELLED)
        return self.get(id_)

    def close(self) -> None:
        """Interrupt all operations, and return when their work has stopped."""
        with self._lock:
            self._closing = True
            for entry in self._entries.values():
                entry.progress.stop()
        self._executor.shutdown(cancel_futures=True)
        self._store.close()

    def _run(self, entry: _Entry, work: Work) -> None:
        if not self._begin(entry):
            return
        try:
            result = work(entry.progress)
        except OperationStoppedError:
            if entry.is_cancelled:
                self._end(entry, operation_pb2.OPERATION_STATE_CANCELLED)
        except ServiceError as error:
            _LOG.warning("operation %s failed: %s", entry.operation.id, error)
            self._end(entry, operation_pb2.OPERATION_STATE_FAILED, error=to_status(error))
        except Exception:
            _LOG.exception("unforeseen error in operation %s", entry.operation.id)
            self._end(entry, operation_pb2.OPERATION_STATE_FAILED, error=to_status(_UNFORESEEN))
        else:
            self._end(entry, operation_pb2.OPERATION_STATE_SUCCEEDED, result=result)

    def _begin(self, entry: _Entry) -> bool:
        with self._lock:
            if entry.is_cancelled or self._closing:
                return False
            entry.operation.state = operation_pb2.OPERATION_STATE_RUNNING
            return True

    def _end(
        self,
        entry: _Entry,
        state: operation_pb2.OperationState.ValueType,
        *,
        result: str = "",
        error: status_pb2.Status | None = None,
    ) -> None:
        with self._lock:
            if entry.is_ending:
                return
            entry.is_ending = True
            ended = entry.shown()
        ended.state = state
        ended.result = result
        ended.ended_at.FromNanoseconds(time.time_ns())
        if error is not None:
            ended.error.CopyFrom(error)
        try:
            self._store.change(StoredOperation(entry.number, ended))
        except ServiceError as cause:
            _LOG.error("the end of operation %s was not noted on disk: %s", ended.id, cause)
        # Whoever sees that it has ended may rely on what comes with that.
        if entry.on_end is not None:
            try:
                entry.on_end()
            except Exception:
                _LOG.exception("operation %s was not tidied up", ended.id)
        with self._lock:
            entry.operation.CopyFrom(ended)
            waiting, entry.waiting = entry.waiting, []
            self._forget_oldest()
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _forget_oldest(self) -> None:
        ended = [id_ for id_, entry in self._entries.items() if has_ended(entry.operation)]
        try:
            for id_ in ended[: max(0, len(ended) - self._keep)]:
                self._store.remove(self._entries[id_].number)
                del self._entries[id_]
        except ServiceError as cause:
            _LOG.error("old operations were not forgotten: %s", cause)

    def _entry(self, id_: str) -> _Entry:
        entry = self._entries.get(id_)
        if entry is None:
            raise errors.not_found(
                "OPERATION_NOT_FOUND",
                f"there is no operation {id_!r}: it never was, or it ended long ago; "
                "ListOperations (`picoseek operation list`) names those there are",
                operation=id_,
            )
        return entry

    def _check_open(self) -> None:
        if self._closing:
            raise errors.unavailable(
                "SHUTTING_DOWN", "the service is stopping; send it again", retry_after_s=_RETRY_AFTER_STOP_S
            )


_UNFORESEEN = ServiceError(
    grpc.StatusCode.INTERNAL, "INTERNAL", "the service failed on this operation; its log has the cause"
)


def _interrupted() -> ServiceError:
    return errors.unavailable(
        "OPERATION_INTERRUPTED",
        "the service was stopped while this ran, and nobody goes on with it; see whether it was done all the same "
        "a moment before, and start it again if not",
        retry_after_s=None,
    )


def _give_way() -> None:
    # On Linux this is of the thread, not of the process.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
