"""Single searches share one stream, and nobody notices: against the real service, and services that are not as new."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import picoseek
import pytest
import waiting
from fake_services import FakeServices, refusal
from picoseek import search_stream
from picoseek.search_bundle import MOST_SEARCHES, BundleSizes, bundle
from picoseek_protos.v1 import search_pb2, search_service_pb2_grpc

WITHIN_S = 60.0
SPACE = picoseek.EmbeddingSpace("sha256:" + "7" * 64, 4)
QUERY = np.array([1, 0, 0, 0], dtype=np.float32)


class SearchService:
    """The real service as a process."""

    def __init__(self, data_dir: Path) -> None:
        self.port = waiting.free_port()
        self.config = picoseek.ConnectionConfig(
            search=f"127.0.0.1:{self.port}", timeout_s=WITHIN_S, retry=picoseek.RetryConfig(max_attempts=100)
        )
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "picoseek_search", "--port", str(self.port), "--data-dir", str(self._data_dir)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        with grpc.insecure_channel(self.config.search, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            grpc.channel_ready_future(channel).result(WITHIN_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(WITHIN_S) == 0
            self._process = None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchService]:
    one = SearchService(tmp_path_factory.mktemp("search") / "data")
    one.start()
    with picoseek.Client(one.config) as client:
        client.create_collection(picoseek.Collection("things", SPACE))
        documents = [
            picoseek.Document(name, np.eye(4, dtype=np.float32)[axis], item=name, labels=(name.title(),))
            for axis, name in enumerate(["ant", "bee", "cat", "dog"])
        ]
        client.upsert("things", documents, space=SPACE.digest)
    yield one
    one.stop()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of the search service that are called."""
    made: list[str] = []
    stub = search_service_pb2_grpc.SearchServiceStub

    def counting(channel: Any) -> Any:
        real = stub(channel)
        for name in ("Search", "StreamSearch"):
            setattr(real, name, _noting(made, name, getattr(real, name)))
        return real

    monkeypatch.setattr(search_service_pb2_grpc, "SearchServiceStub", counting)
    return made


def _noting(made: list[str], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*parts: Any, **more: Any) -> Any:
        made.append(name)
        return method(*parts, **more)

    return call


async def _nearest(client: picoseek.AsyncClient, axis: int, **more: Any) -> str:
    query = np.eye(4, dtype=np.float32)[axis]
    result = await client.search("things", [query], space=SPACE.digest, **more)
    return result.hits[0][0].id


async def test_many_searches_use_one_stream_and_each_gets_its_own(service: SearchService, calls: list[str]) -> None:
    async with picoseek.AsyncClient(service.config) as client:
        found = await asyncio.gather(*(_nearest(client, number % 4) for number in range(100)))
        several = await client.search("things", np.eye(4, dtype=np.float32), space=SPACE.digest)
    assert found == ["ant", "bee", "cat", "dog"] * 25
    assert [hits[0].id for hits in several.hits] == ["ant", "bee", "cat", "dog"]
    assert calls == ["StreamSearch", "Search"]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many searches were in each message."""
    sizes: list[int] = []

    def noting(requests: Sequence[search_pb2.SearchRequest]) -> search_pb2.SearchRequest:
        sizes.append(len(requests))
        return bundle(requests)

    monkeypatch.setattr(search_stream, "bundle", noting)
    return sizes


async def test_many_at_once_go_in_few_messages_and_get_what_they_would_get_alone(
    service: SearchService, messages: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine.
    monkeypatch.setattr(BundleSizes, "most", lambda self, settings: MOST_SEARCHES)
    everything = picoseek.DocumentMask(labels=True, vector=True, provenance=True)
    options = [
        picoseek.SearchOptions(k=2),
        picoseek.SearchOptions(k=3, include=everything, explain=True, false_accept_rate=0.01),
        picoseek.SearchOptions(k=1, filter='item = "bee" OR item = "dog"'),
    ]
    queries = np.random.default_rng(1).random((90, 4), dtype=np.float32)
    async with picoseek.AsyncClient(service.config) as client:

        async def search(number: int) -> picoseek.SearchResult:
            return await client.search("things", [queries[number]], space=SPACE.digest, options=options[number % 3])

        alone = [await search(number) for number in range(len(queries))]
        assert set(messages) == {1}
        messages.clear()
        together = await asyncio.gather(*(search(number) for number in range(len(queries))))
    assert sum(messages) == len(queries)
    assert max(messages) == MOST_SEARCHES
    assert len(messages) < len(queries) / 3
    for one, other in zip(alone, together, strict=True):
        assert repr(one.hits) == repr(other.hits)
        assert repr((one.verdicts, one.explanations)) == repr((other.verdicts, other.explanations))
        assert (one.revision, one.collection, one.larger_is_closer) == (
            other.revision,
            other.collection,
            other.larger_is_closer,
        )


async def test_queries_are_one_vector_each(service: SearchService) -> None:
    async with picoseek.AsyncClient(service.config) as client:
        with pytest.raises(picoseek.InvalidArgumentError, match=r"give a single one as \[vector\]"):
            await client.search("things", QUERY, space=SPACE.digest)
        with pytest.raises(picoseek.InvalidArgumentError, match="one vector a query"):
            await client.search("things", np.zeros((2, 3, 4), np.float32), space=SPACE.digest)
        with pytest.raises(picoseek.InvalidArgumentError, match="k is -1; it takes a whole number"):
            await client.search("things", [QUERY], space=SPACE.digest, options=picoseek.SearchOptions(k=-1))


async def test_a_bad_search_among_others_fails_alone(
    service: SearchService, messages: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundleSizes, "most", lambda self, settings: MOST_SEARCHES)
    bad = np.array([1, np.nan, 0, 0], dtype=np.float32)
    async with picoseek.AsyncClient(service.config) as client:
        await _nearest(client, 0)
        outcomes = await asyncio.gather(
            *(_nearest(client, number % 4) for number in range(20)),
            client.search("things", [bad], space=SPACE.digest),
            *(_nearest(client, number % 4) for number in range(20)),
            return_exceptions=True,
        )
    assert max(messages) > 2
    refused = outcomes.pop(20)
    assert isinstance(refused, picoseek.InvalidArgumentError)
    assert refused.reason == "VECTOR_NOT_FINITE"
    assert "query 0 of vectors" in str(refused)
    assert outcomes == ["ant", "bee", "cat", "dog"] * 10


async def test_an_error_is_that_of_its_search_alone(service: SearchService, calls: list[str]) -> None:
    async with picoseek.AsyncClient(service.config) as client:
        outcomes = await asyncio.gather(
            _nearest(client, 1),
            client.search("things", [QUERY], space="sha256:other"),
            client.search("nothing", [QUERY], space=SPACE.digest),
            _nearest(client, 2),
            return_exceptions=True,
        )
    assert (outcomes[0], outcomes[3]) == ("bee", "cat")
    assert isinstance(outcomes[1], picoseek.FailedPreconditionError)
    assert outcomes[1].reason == "EMBEDDING_SPACE_MISMATCH"
    assert outcomes[1].metadata["space"] == "sha256:other"
    assert isinstance(outcomes[2], picoseek.NotFoundError)
    assert calls == ["StreamSearch"]


async def test_who_leaves_disturbs_nobody(service: SearchService, calls: list[str]) -> None:
    async with picoseek.AsyncClient(service.config) as client:
        tasks = [asyncio.create_task(_nearest(client, number % 4)) for number in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert await _nearest(client, 3) == "dog"
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert outcomes[1::2] == ["bee", "dog"] * 10
    assert calls == ["StreamSearch"]


async def test_a_service_that_comes_back_is_used_again(service: SearchService, calls: list[str]) -> None:
    async with picoseek.AsyncClient(service.config) as client:
        assert await _nearest(client, 0) == "ant"
        await asyncio.to_thread(service.stop)
        waiters = [asyncio.create_task(_nearest(client, number % 4)) for number in range(8)]
        await asyncio.to_thread(service.start)
        assert await asyncio.gather(*waiters) == ["ant", "bee", "cat", "dog"] * 2
        assert await _nearest(client, 1) == "bee"
    assert calls.count("StreamSearch") >= 2


def test_the_synchronous_client_does_the_same(service: SearchService, calls: list[str]) -> None:
    with picoseek.Client(service.config) as client:
        for axis, name in enumerate(["ant", "bee"]):
            result = client.search("things", [np.eye(4, dtype=np.float32)[axis]], space=SPACE.digest)
            assert result.hits[0][0].document.label == name.title()
    assert calls == ["StreamSearch"]


async def test_a_service_without_streams_is_called_singly(services: FakeServices, calls: list[str]) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        for _ in range(3):
            await client.search("things", [QUERY], space=SPACE.digest)
    assert calls == ["StreamSearch", "Search", "Search", "Search"]
    assert len(services.trouble.requests) == 3


class Reluctant(search_service_pb2_grpc.SearchServiceServicer):
    """Answers streams as it is told to."""

    def __init__(self) -> None:
        self.streams = 0
        self.refusals: list[Any] = []
        self.is_silent = False
        self.breaks = False
        self.search_cpu_us = 0

    async def StreamSearch(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.streams += 1
        async for request in request_iterator:
            if self.breaks:
                return
            if self.is_silent:
                continue
            answer = search_pb2.StreamSearchResponse(call_id=request.call_id)
            if self.refusals:
                answer.error.CopyFrom(self.refusals.pop())
            else:
                answer.response.CopyFrom(search_pb2.SearchResponse(ids=["stream"], items=[""], scores=b"\0" * 4))
                answer.response.offsets.extend([0, 1])
                answer.response.search_cpu_us = self.search_cpu_us
            yield answer

    async def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        return search_pb2.SearchResponse(ids=["single"], items=[""], scores=b"\0" * 4, offsets=[0, 1])


@asynccontextmanager
async def _reluctant() -> AsyncIterator[tuple[Reluctant, picoseek.AsyncClient]]:
    servicer = Reluctant()
    server = grpc.aio.server()
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    config = picoseek.ConnectionConfig(
        search=f"127.0.0.1:{port}", timeout_s=WITHIN_S, retry=picoseek.RetryConfig(initial_backoff_s=0.01)
    )
    async with picoseek.AsyncClient(config) as client:
        yield servicer, client
    await server.stop(0)


async def test_the_deadline_of_a_search_is_its_own() -> None:
    async with _reluctant() as (servicer, client):
        servicer.is_silent = True
        patient = asyncio.create_task(_nearest(client, 0))
        begun = time.monotonic()
        with pytest.raises(picoseek.DeadlineExceededError, match="did not answer in time"):
            await _nearest(client, 0, timeout_s=0.3)
        assert 0.25 < time.monotonic() - begun < WITHIN_S / 2
        assert not patient.done()
        servicer.is_silent = False
        assert await _nearest(client, 0) == "stream"
        patient.cancel()
        assert servicer.streams == 1


async def test_a_refused_search_is_sent_again_over_the_stream() -> None:
    async with _reluctant() as (servicer, client):
        servicer.refusals = [refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_s=0.02)]
        assert await _nearest(client, 0) == "stream"
        assert servicer.streams == 1 and servicer.refusals == []


async def test_a_stream_that_breaks_costs_its_searches_nothing() -> None:
    async with _reluctant() as (servicer, client):
        servicer.breaks = True
        assert await asyncio.gather(*(_nearest(client, 0) for _ in range(5))) == ["single"] * 5
        servicer.breaks = False
        assert await _nearest(client, 0) == "stream"
        assert servicer.streams == 2


async def test_searches_wait_only_shortly_for_messages_that_nobody_answers(messages: list[int]) -> None:
    async with _reluctant() as (servicer, client):
        servicer.search_cpu_us = 100
        assert await _nearest(client, 0) == "stream"
        servicer.is_silent = True
        silent = [asyncio.create_task(_nearest(client, 0)) for _ in range(2)]
        while len(messages) < 3:
            await asyncio.sleep(0)
        held = [asyncio.create_task(_nearest(client, 0)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert messages == [1, 1, 1]
        waiting_since = time.monotonic()
        while len(messages) < 4 and time.monotonic() - waiting_since < WITHIN_S:
            await asyncio.sleep(0.001)
        assert messages == [1, 1, 1, 5]
        for task in (*silent, *held):
            task.cancel()


@pytest.mark.parametrize("search_cpu_us", [0, 3000])
async def test_searches_that_take_long_go_one_by_one(messages: list[int], search_cpu_us: int) -> None:
    async with _reluctant() as (servicer, client):
        servicer.search_cpu_us = search_cpu_us
        assert await _nearest(client, 0) == "stream"
        await asyncio.gather(*(_nearest(client, 0) for _ in range(20)))
    assert messages == [1] * 21
