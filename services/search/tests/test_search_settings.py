"""How far a search looks: what the request says, else the collection, else the kind of index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from picoseek_protos.v1 import collection_pb2, search_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.search_calls import SearchCalls

LIMITS = Limits(
    max_queries=8,
    max_k=100,
    max_hits=1000,
    max_stream_searches=8,
    max_documents=1000,
    max_message_bytes=1 << 20,
    max_revision_wait_s=1.0,
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (False, 33, 5, 7)),
        ({"ef": 200, "nprobe": 9, "rerank": 3}, (False, 200, 9, 3)),
        ({"exact": True}, (True, 33, 5, 7)),
        ({"nprobe": 2**32 - 1, "rerank": 2**32 - 1, "ef": 2**32 - 1}, (False, 16384, 2**32 - 1, 1000)),
    ],
)
async def test_a_search_looks_as_far_as_it_is_told(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., collection_pb2.Collection],
    workers: Workers,
    space: str,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, object],
    expected: tuple[bool, int, int, int],
) -> None:
    defaults = search_pb2.SearchParams(ef=33, nprobe=5, rerank=7)
    index = collection_pb2.IndexConfig(factory="IVF4,PQ4x4", defaults=defaults)
    catalog = open_catalog()
    catalog.create(collection_of(index=index), if_not_exists=False)
    seen: list[Query] = []
    search = Collection.search

    def watched(self: Collection, query: Query, *more: object) -> object:
        seen.append(query)
        return search(self, query, *more)

    monkeypatch.setattr(Collection, "search", watched)
    calls = SearchCalls(catalog, workers, LIMITS, Admission("queries", 64))
    request = search_pb2.SearchRequest(
        collection="gallery",
        space=space,
        vectors=np.ones(8, "<f4").tobytes(),
        queries=1,
        k=1,
        params=search_pb2.SearchParams(**asked),
    )
    await calls.answer(request, None)
    assert [(query.exact, query.ef, query.nprobe, query.rerank) for query in seen] == [expected]
