"""Many callers at once get exactly what each would get alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2, search_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.search_calls import SearchCalls

WITHIN_S = 30.0
DIMENSION = 8
FILTERS = ["", "id > d3", "labels:odd"]
LIMITS = Limits(
    max_queries=64,
    max_k=100,
    max_hits=1000,
    max_stream_searches=8,
    max_documents=1000,
    max_message_bytes=1 << 20,
    max_revision_wait_s=1.0,
)


@dataclass
class Hall:
    """A gallery behind the calls, with one thread that searches."""

    calls: SearchCalls
    workers: Workers
    gallery: Collection
    space: str

    def request(self, seed: int, **parts: Any) -> search_pb2.SearchRequest:
        queries = parts.setdefault("queries", 1)
        vectors = np.random.default_rng(seed).standard_normal((queries, DIMENSION)).astype("<f4")
        return search_pb2.SearchRequest(
            **({"collection": "gallery", "space": self.space, "vectors": vectors.tobytes(), "k": 5} | parts)
        )

    async def answer(self, request: search_pb2.SearchRequest, deadline: float | None = None) -> Any:
        """Return the answer without the time it took, or the error."""
        try:
            answer = await self.calls.answer(request, deadline)
        except ServiceError as error:
            return error.reason, error.message
        answer.ClearField("total_us")
        answer.ClearField("search_cpu_us")
        return answer

    def hold(self) -> threading.Event:
        """Keep the thread busy until the event is set."""
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(WITHIN_S)

        self.workers.search.submit(wait)
        assert held.wait(WITHIN_S)
        return go_on


@pytest.fixture(scope="module")
def one_thread() -> Iterator[Workers]:
    started = Workers.start(search_threads=1, read_threads=1, write_threads=1, build_threads=1)
    yield started
    started.stop()


@pytest.fixture
def hall(
    open_catalog: Callable[..., Catalog],
    one_thread: Workers,
    collection_of: Callable[..., collection_pb2.Collection],
    document_of: Callable[..., document_pb2.Document],
    space: str,
) -> Hall:
    # Enough rows in one part that a graph is searched as a graph.
    catalog = open_catalog(EngineOptions(growing_rows=800, graph_rows=1600, merge_factor=4, idle_s=0))
    gallery, _ = catalog.create(collection_of(index={"factory": "HNSW8"}), if_not_exists=False)
    random = np.random.default_rng(1)
    documents = [
        document_of(
            f"d{number}",
            random.standard_normal(DIMENSION),
            item=f"i{number // 3}",
            labels=["odd"] if number % 2 else ["even"],
        )
        for number in range(3300)
    ]
    gallery.submit(gallery.prepare_upsert(documents, "w")).result(WITHIN_S)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert [segment.kind for segment in gallery.describe().segments] == ["HNSW8", "growing"]
    calls = SearchCalls(catalog, one_thread, LIMITS, Admission("queries", 10_000))
    return Hall(calls, one_thread, gallery, space)


def _count_searches(gallery: Collection, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    search = gallery.search

    def counted(query: Any, *more: Any) -> Any:
        sizes.append(len(query.vectors))
        return search(query, *more)

    monkeypatch.setattr(gallery, "search", counted)
    return sizes


_REQUESTS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 5),
        "k": st.sampled_from([1, 5, 0]),
        "queries": st.sampled_from([1, 1, 1, 3]),
        "filter": st.sampled_from([*FILTERS, "no such thing ("]),
        "max_per_item": st.sampled_from([0, 0, 1]),
        "include": st.sampled_from([None, document_pb2.DocumentMask(labels=True)]),
        "score_threshold": st.sampled_from([None, 0.2]),
        "params": st.sampled_from([search_pb2.SearchParams(), search_pb2.SearchParams(exact=True)]),
        "fate": st.sampled_from(["", "", "", "bad", "short", "left", "late"]),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(_REQUESTS, min_size=2, max_size=40))
async def test_together_and_alone_are_the_same(hall: Hall, asked: list[dict[str, Any]]) -> None:
    requests, fates = [], []
    for parts in asked:
        fate, seed = parts["fate"], parts["seed"]
        request = hall.request(seed, **{name: part for name, part in parts.items() if name not in ("fate", "seed")})
        if fate == "bad":
            request.vectors = np.full((request.queries, DIMENSION), np.nan, "<f4").tobytes()
        if fate == "short":
            request.vectors = request.vectors[:-4]
        requests.append(request)
        fates.append(fate)
    alone = [await hall.answer(request) for request in requests]
    go_on = hall.hold()
    tasks = [
        asyncio.create_task(hall.answer(request, time.monotonic() + (0.0 if fate == "late" else WITHIN_S)))
        for request, fate in zip(requests, fates, strict=True)
    ]
    await asyncio.sleep(0)
    for task, fate in zip(tasks, fates, strict=True):
        if fate == "left":
            task.cancel()
    go_on.set()
    together = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WITHIN_S)
    for answer, expected, fate in zip(together, alone, fates, strict=True):
        if fate == "left":
            # What is refused at once is refused before anybody can leave.
            assert isinstance(answer, asyncio.CancelledError) or answer == expected
        elif fate == "late" and not isinstance(expected, tuple):
            assert answer[0] == "DEADLINE_EXCEEDED"
        elif fate != "late":
            assert answer == expected


async def test_searches_that_wait_are_one_call_to_faiss(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [await hall.answer(hall.request(seed)) for seed in range(10)]
    assert len({answer.ids[0] for answer in alone}) > 1
    sizes = _count_searches(hall.gallery, monkeypatch)
    go_on = hall.hold()
    tasks = [asyncio.create_task(hall.answer(hall.request(seed))) for seed in range(10)]
    other = asyncio.create_task(hall.answer(hall.request(0, k=3)))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.wait_for(asyncio.gather(*tasks), WITHIN_S) == alone
    assert list((await other).ids) == list(alone[0].ids[:3])
    # Light searches are made in the loop, the other one in a thread, in whatever order.
    assert sorted(sizes) == [1, 10]


async def test_one_bad_vector_costs_the_others_nothing(hall: Hall) -> None:
    good = await hall.answer(hall.request(1))
    bad = hall.request(1, vectors=np.full(DIMENSION, np.inf, "<f4").tobytes())
    go_on = hall.hold()
    tasks = [asyncio.create_task(hall.answer(request)) for request in (hall.request(1), bad, hall.request(1))]
    await asyncio.sleep(0)
    go_on.set()
    first, refused, last = await asyncio.wait_for(asyncio.gather(*tasks), WITHIN_S)
    assert first == last == good
    assert refused[0] == "VECTOR_NOT_FINITE"
    assert "query 0" in refused[1]
