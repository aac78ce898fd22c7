"""Many searches over one stream."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import pytest
import waiting
from google.rpc import error_details_pb2, status_pb2
from picoseek_chassis.errors import ServiceError, not_found
from picoseek_protos.v1 import document_pb2, search_pb2
from picoseek_search.transport.search_stream import SearchStream

WITHIN_S = 60.0
Make = Callable[..., document_pb2.Document]


def axis(number: int) -> list[float]:
    vector = [0.0] * 8
    vector[number % 8] = 1.0
    return vector


def reason_of(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "picoseek"
    return info.reason


class Desk:
    """Answers searches when it is told to; the collection's name names a search."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.left: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def answer(self, request: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
        name = request.collection
        self.begun.append(name)
        gate = self.gates.setdefault(name, asyncio.Event())
        try:
            await asyncio.wait_for(gate.wait(), WITHIN_S)
        except asyncio.CancelledError:
            self.left.append(name)
            raise
        if name == "missing":
            raise not_found("COLLECTION_NOT_FOUND", "there is none")
        if name == "broken":
            raise ZeroDivisionError("a secret of the inside")
        return search_pb2.SearchResponse(ids=[name])

    def finish(self, *names: str) -> None:
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()


class Sender:
    """Requests that come when they are put in; None ends them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[search_pb2.StreamSearchRequest | None] = asyncio.Queue()
        self.read = 0

    def send(self, call_id: int, name: str) -> None:
        request = search_pb2.SearchRequest(collection=name)
        self._queue.put_nowait(search_pb2.StreamSearchRequest(call_id=call_id, request=request))

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[search_pb2.StreamSearchRequest]:
        while (request := await self._queue.get()) is not None:
            self.read += 1
            yield request


async def _next(answers: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(anext(answers), WITHIN_S)


async def _settled() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_answers_come_as_searches_finish_and_errors_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk, sender = Desk(), Sender()
    answers = SearchStream(desk.answer, 8, asyncio.Event()).run(aiter(sender))
    for call_id, name in enumerate(["slow", "missing", "broken", "quick"]):
        sender.send(call_id, name)
    sender.end()
    desk.finish("quick")
    answer = await _next(answers)
    assert (answer.call_id, list(answer.response.ids)) == (3, ["quick"])
    desk.finish("missing")
    answer = await _next(answers)
    assert (answer.call_id, answer.error.code, reason_of(answer.error)) == (1, 5, "COLLECTION_NOT_FOUND")
    desk.finish("broken")
    answer = await _next(answers)
    assert (answer.call_id, reason_of(answer.error)) == (2, "INTERNAL")
    assert "secret" not in answer.error.message
    assert "unforeseen error on search 2" in caplog.text
    desk.finish("slow")
    assert (await _next(answers)).call_id == 0
    with pytest.raises(StopAsyncIteration):
        await _next(answers)


async def test_a_number_in_use_is_refused_and_may_be_used_again_once_answered() -> None:
    desk, sender = Desk(), Sender()
    answers = SearchStream(desk.answer, 8, asyncio.Event()).run(aiter(sender))
    sender.send(7, "first")
    sender.send(7, "second")
    answer = await _next(answers)
    assert (answer.call_id, reason_of(answer.error)) == (7, "CALL_ID_IN_USE")
    desk.finish("first", "third")
    assert list((await _next(answers)).response.ids) == ["first"]
    sender.send(7, "third")
    assert list((await _next(answers)).response.ids) == ["third"]
    assert desk.begun == ["first", "third"]
    await answers.aclose()


async def test_no_more_is_read_than_may_be_under_way() -> None:
    desk, sender = Desk(), Sender()
    answers = SearchStream(desk.answer, 3, asyncio.Event()).run(aiter(sender))
    for number in range(10):
        sender.send(number, str(number))
    desk.finish("1")
    assert (await _next(answers)).call_id == 1
    await _settled()
    # An answer that was not taken yet keeps its place.
    assert sender.read == 3
    desk.finish("0", "2", "3")
    await _settled()
    assert sender.read == 3
    assert (await _next(answers)).call_id in (0, 2)
    await _settled()
    assert sender.read == 4
    await answers.aclose()


async def test_who_leaves_stops_the_work() -> None:
    desk, sender = Desk(), Sender()
    answers = SearchStream(desk.answer, 8, asyncio.Event()).run(aiter(sender))
    for name in ("a", "b", "c"):
        sender.send(ord(name), name)
    desk.finish("a")
    await _next(answers)
    await answers.aclose()
    assert sorted(desk.left) == ["b", "c"]


async def test_a_service_that_stops_answers_what_it_has_read() -> None:
    desk, sender, draining = Desk(), Sender(), asyncio.Event()
    answers = SearchStream(desk.answer, 8, draining).run(aiter(sender))
    sender.send(1, "a")
    sender.send(2, "b")
    desk.finish("a")
    assert (await _next(answers)).call_id == 1
    draining.set()
    await _settled()
    sender.send(3, "c")
    desk.finish("b", "c")
    assert (await _next(answers)).call_id == 2
    with pytest.raises(ServiceError) as caught:
        await _next(answers)
    assert caught.value.reason == "SHUTTING_DOWN"
    assert desk.begun == ["a", "b"]


def _stream(client: Any, requests: Iterable[search_pb2.StreamSearchRequest], timeout: float = WITHIN_S) -> Any:
    return client.search.StreamSearch(iter(requests), timeout=timeout)


def test_a_stream_answers_as_single_calls_do(client: Any, document_of: Make, space: str) -> None:
    client.create(name="streamed")
    client.upsert("streamed", [document_of(f"d{number}", axis(number)) for number in range(8)])

    def request(number: int, **parts: Any) -> search_pb2.SearchRequest:
        vector = document_of("", axis(number)).vector
        wanted = {"collection": "streamed", "space": space, "vectors": vector, "queries": 1, "k": 2} | parts
        return search_pb2.SearchRequest(**wanted)

    asked = {number: request(number) for number in range(100)}
    asked |= {200: request(1, k=0), 201: request(1, space="sha256:other"), 202: request(1, collection="none")}
    asked |= {203: request(1, vectors=b"1234"), 204: request(1, filter="(")}
    requests = [search_pb2.StreamSearchRequest(call_id=number, request=one) for number, one in asked.items()]
    answers = {answer.call_id: answer for answer in _stream(client, requests)}
    assert answers.keys() == asked.keys()
    for number, one in asked.items():
        try:
            alone = client.search.Search(one, timeout=WITHIN_S)
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata())["grpc-status-details-bin"]
            assert answers[number].error == status_pb2.Status.FromString(details)
            continue
        alone.ClearField("total_us")
        alone.ClearField("search_cpu_us")
        answers[number].response.ClearField("total_us")
        answers[number].response.ClearField("search_cpu_us")
        assert answers[number].response == alone


def test_the_deadline_of_a_stream_ends_it(client: Any) -> None:
    held: queue.SimpleQueue[None] = queue.SimpleQueue()
    with pytest.raises(grpc.RpcError) as caught:
        list(_stream(client, iter(held.get, None), timeout=0.5))
    held.put(None)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_open_stream_does_not_hold_up_the_end_of_the_service(
    search_process: Callable[..., Any], client_of: Callable[..., Any], document_of: Make, space: str
) -> None:
    process = search_process(environment={"PICOSEEK_SEARCH_DRAIN_GRACE_S": "600"})
    sent: queue.SimpleQueue[search_pb2.StreamSearchRequest | None] = queue.SimpleQueue()
    seen: list[Any] = []
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g")
        client.upsert("g", [document_of("a", axis(0))])

        def read() -> None:
            try:
                for answer in _stream(client, iter(sent.get, None)):
                    seen.append(answer)
            except grpc.RpcError as error:
                seen.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        vector = document_of("", axis(0)).vector
        request = search_pb2.SearchRequest(collection="g", space=space, vectors=vector, queries=1, k=1)
        sent.put(search_pb2.StreamSearchRequest(call_id=1, request=request))
        waiting.until(lambda: len(seen) == 1, WITHIN_S)
        assert process.stop() == 0
        reader.join(WITHIN_S)
        sent.put(None)
    assert list(seen[0].response.ids) == ["a"]
    assert seen[1].code() == grpc.StatusCode.UNAVAILABLE
    assert "Traceback" not in process.log.read_text()
