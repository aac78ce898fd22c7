"""Long work: how it stands, how it ends, what is left of it after a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.rpc import code_pb2, error_details_pb2
from picoseek_chassis.errors import ServiceError, failed_precondition
from picoseek_protos.v1 import operation_pb2
from picoseek_search.operations.operation_store import OperationStore
from picoseek_search.operations.operations import Operations
from picoseek_search.operations.progress import OperationStoppedError, Progress

WITHIN_S = 120.0
REBUILD = operation_pb2.OPERATION_KIND_REBUILD
Open = Callable[..., Operations]


@pytest.fixture
def open_operations(tmp_path: Path) -> Iterator[Open]:
    """Opens the operations of this test's file."""
    opened: list[Operations] = []

    def open_one(*, threads: int = 2, max_waiting: int = 8, keep: int = 5) -> Operations:
        store = OperationStore(tmp_path / "operations.sqlite3")
        opened.append(Operations(store, threads=threads, max_waiting=max_waiting, keep=keep))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def ended(operations: Operations, id_: str) -> operation_pb2.Operation:
    operations.when_ended(id_).result(WITHIN_S)
    return operations.get(id_)


def until_stopped(begun: threading.Event) -> Callable[[Progress], str]:
    def work(progress: Progress) -> str:
        stopped = threading.Event()
        progress.on_stop(stopped.set)
        begun.set()
        assert stopped.wait(WITHIN_S)
        progress.check()
        return "never"

    return work


def reason(operation: operation_pb2.Operation) -> str:
    info = error_details_pb2.ErrorInfo()
    assert operation.error.details[0].Unpack(info)
    return info.reason


def test_work_reports_and_ends(open_operations: Open) -> None:
    operations = open_operations()
    go_on, half = threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        progress.expect(10)
        progress.advance(5)
        half.set()
        assert go_on.wait(WITHIN_S)
        progress.advance(5)
        return "made"

    ends = []
    begun = operations.start(REBUILD, "gallery", work, unit="documents", on_end=lambda: ends.append("ended"))
    assert half.wait(WITHIN_S)
    now = operations.get(begun.id)
    assert (now.state, now.done, now.total, now.unit) == (operation_pb2.OPERATION_STATE_RUNNING, 5, 10, "documents")
    assert not now.HasField("ended_at")
    go_on.set()
    now = ended(operations, begun.id)
    assert (now.state, now.done, now.result) == (operation_pb2.OPERATION_STATE_SUCCEEDED, 10, "made")
    assert ends == ["ended"]
    assert now.ended_at.ToNanoseconds() > now.created_at.ToNanoseconds()
    assert operations.cancel(begun.id).state == operation_pb2.OPERATION_STATE_SUCCEEDED


def test_errors_are_kept_with_their_reason(open_operations: Open) -> None:
    operations = open_operations()

    def refused(_: Progress) -> str:
        raise failed_precondition("SCHEMA_IN_USE", "it cannot be")

    def broken(_: Progress) -> str:
        raise ZeroDivisionError

    first = ended(operations, operations.start(REBUILD, "a", refused, unit="documents").id)
    second = ended(operations, operations.start(REBUILD, "a", broken, unit="documents").id)
    assert (first.state, first.error.code) == (operation_pb2.OPERATION_STATE_FAILED, code_pb2.FAILED_PRECONDITION)
    assert (reason(first), first.error.message) == ("SCHEMA_IN_USE", "it cannot be")
    assert (reason(second), second.error.code) == ("INTERNAL", code_pb2.INTERNAL)


def test_running_and_waiting_work_is_cancelled(open_operations: Open) -> None:
    operations = open_operations(threads=1)
    begun, ends = threading.Event(), list[str]()
    running = operations.start(REBUILD, "a", until_stopped(begun), unit="bytes", on_end=lambda: ends.append("running"))
    assert begun.wait(WITHIN_S)
    never = threading.Event()
    waiting = operations.start(REBUILD, "a", until_stopped(never), unit="bytes", on_end=lambda: ends.append("waiting"))
    assert operations.cancel(waiting.id).state == operation_pb2.OPERATION_STATE_CANCELLED
    operations.cancel(running.id)
    assert ended(operations, running.id).state == operation_pb2.OPERATION_STATE_CANCELLED
    assert ended(operations, operations.start(REBUILD, "a", lambda _: "next", unit="bytes").id).result == "next"
    assert ends == ["waiting", "running"]
    assert not never.is_set()


def test_what_is_too_much_is_refused_and_an_id_begins_once(open_operations: Open) -> None:
    operations = open_operations(threads=1, max_waiting=2)
    begun = threading.Event()
    first = operations.start(REBUILD, "a", until_stopped(begun), unit="bytes", id_="mine")
    assert operations.start(REBUILD, "a", lambda _: "other", unit="bytes", id_="mine").id == first.id
    operations.start(REBUILD, "a", lambda _: "second", unit="bytes")
    with pytest.raises(ServiceError) as refused:
        operations.start(REBUILD, "a", lambda _: "third", unit="bytes")
    assert (refused.value.reason, bool(refused.value.retry_after_s)) == ("OVERLOADED", True)
    operations.cancel("mine")
    assert ended(operations, "mine").state == operation_pb2.OPERATION_STATE_CANCELLED


def test_pages_are_newest_first_and_old_ones_are_forgotten(open_operations: Open) -> None:
    operations = open_operations(keep=5)
    ids = [
        ended(operations, operations.start(REBUILD, "ab"[turn % 2], lambda _: "", unit="bytes").id).id
        for turn in range(8)
    ]
    newest = ids[:2:-1]
    listed = operations.page("", 0, 3)
    assert [one.operation.id for one in listed] == newest[:3]
    assert [one.operation.id for one in operations.page("", listed[-1].number, 10)] == newest[3:]
    assert [one.operation.id for one in operations.page("b", 0, 10)] == newest[::2]
    assert operations.find(ids[0]) is None
    with pytest.raises(ServiceError) as missing:
        operations.get(ids[0])
    assert missing.value.reason == "OPERATION_NOT_FOUND"
    operations.close()
    assert [one.operation.id for one in open_operations().page("", 0, 10)] == newest


def test_a_stop_interrupts_and_a_start_goes_on_or_says_so(open_operations: Open) -> None:
    operations = open_operations(threads=1)
    begun, ends = threading.Event(), list[str]()
    done = operations.start(REBUILD, "a", lambda _: "done", unit="bytes")
    ended(operations, done.id)
    resumed = operations.start(REBUILD, "a", until_stopped(begun), unit="bytes", on_end=lambda: ends.append("ended"))
    lost = operations.start(REBUILD, "a", until_stopped(begun), unit="bytes", on_end=lambda: ends.append("ended"))
    assert begun.wait(WITHIN_S)
    operations.close()
    assert not ends
    with pytest.raises(ServiceError) as refused:
        operations.start(REBUILD, "a", lambda _: "late", unit="bytes")
    assert refused.value.reason == "SHUTTING_DOWN"

    again = open_operations()
    again.resume(resumed.id, lambda _: "went on", on_end=lambda: ends.append("went on"))
    again.fail_interrupted()
    assert ended(again, resumed.id).result == "went on"
    assert ends == ["went on"]
    failed = again.get(lost.id)
    assert (failed.state, reason(failed)) == (operation_pb2.OPERATION_STATE_FAILED, "OPERATION_INTERRUPTED")
    assert again.get(done.id).result == "done"


def test_work_that_does_not_look_ends_as_it_ends(open_operations: Open) -> None:
    operations = open_operations(threads=1)
    begun, go_on = threading.Event(), threading.Event()

    def deaf(_: Progress) -> str:
        begun.set()
        assert go_on.wait(WITHIN_S)
        return "all the same"

    operation = operations.start(REBUILD, "a", deaf, unit="bytes")
    assert begun.wait(WITHIN_S)
    assert operations.cancel(operation.id).state == operation_pb2.OPERATION_STATE_RUNNING
    go_on.set()
    assert ended(operations, operation.id).result == "all the same"


def test_what_is_given_to_on_stop_is_called_late_too() -> None:
    progress, calls = Progress(), list[str]()
    progress.on_stop(lambda: calls.append("replaced"))
    progress.on_stop(lambda: calls.append("first"))
    progress.stop()
    progress.on_stop(lambda: calls.append("late"))
    assert calls == ["first", "late"]
    with pytest.raises(OperationStoppedError):
        progress.check()
