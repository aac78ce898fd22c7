"""Killed in the middle of writes, the service has every acknowledged document whole, and none by half."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
import waiting
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2

WITHIN_S = 60.0
SPACE = "sha256:" + "5e" * 32
DIMENSION = 8
BATCH = 20
EVERYTHING = document_pb2.DocumentMask(vector=True, labels=True, payload=True)


@dataclass
class Import:
    """One caller that writes batches of documents, each of a version of its own, until the service is gone."""

    client: Any
    name: str
    version: int
    sent: dict[str, int] = field(default_factory=dict)
    """Newest version of each document that was sent."""
    batches: dict[int, list[str]] = field(default_factory=dict)
    """Documents of each batch, by version."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Newest version of each document that was acknowledged."""

    def run(self) -> None:
        random = np.random.default_rng(self.version)
        for number in range(10_000):
            self.version += 1
            ids = [f"{self.name}-{one}" for one in random.choice(300, BATCH, replace=False)]
            documents = [make(id_, self.version) for id_ in ids]
            self.batches[self.version] = ids
            self.sent |= dict.fromkeys(ids, self.version)
            request = search_pb2.UpsertRequest(
                collection="g", space=SPACE, documents=documents, request_id=f"{self.name}-{self.version}-{number}"
            )
            try:
                self.client.search.Upsert(request, timeout=WITHIN_S)
            except grpc.RpcError:
                return
            self.acknowledged |= dict.fromkeys(ids, self.version)


def make(id_: str, version: int) -> document_pb2.Document:
    vector = np.full(DIMENSION, version, "<f4")
    vector[0] = place_of(id_)
    return document_pb2.Document(
        id=id_,
        item=f"item of {id_}",
        labels=[str(version)],
        payload=f"{id_}/{version}".encode(),
        vector=vector.tobytes(),
    )


def place_of(id_: str) -> float:
    name, _, number = id_.rpartition("-")
    return int(number) + (0.5 if name == "left" else 0.0)


def check(client: Any, imports: list[Import]) -> None:
    """Every document is one that was sent, whole, and at least as new as the one that was acknowledged."""
    found: dict[str, int] = {}
    token = ""
    while True:
        request = search_pb2.ListRequest(collection="g", page_size=1000, page_token=token, include=EVERYTHING)
        page = client.search.List(request, timeout=WITHIN_S)
        for document in page.documents:
            version = int(document.labels[0])
            whole = make(document.id, version)
            assert (document.vector, document.payload, document.item) == (whole.vector, whole.payload, whole.item)
            found[document.id] = version
        token = page.next_page_token
        if not token:
            break
    for one in imports:
        for id_, version in one.acknowledged.items():
            assert found[id_] >= version, f"{id_} was acknowledged at {version}"
        for id_ in one.sent:
            assert found.get(id_, 0) <= one.sent[id_]
        for version, ids in one.batches.items():
            there = [found.get(id_, 0) for id_ in ids]
            assert version not in there or min(there) >= version, "half a batch"
    vectors = np.frombuffer(b"".join(make(id_, version).vector for id_, version in found.items()), "<f4")
    queries = vectors.reshape(-1, DIMENSION)[:50]
    answer = client.find("g", queries, k=1, params=search_pb2.SearchParams(exact=True))
    assert list(answer.ids) == list(found)[:50], "the index does not hold what the documents say"


@pytest.mark.slow
def test_twenty_kills_in_the_middle_of_writes(
    search_process: Callable[..., Any], client_of: Callable[..., Any]
) -> None:
    settings = {"PICOSEEK_SEARCH_GROWING_ROWS": "64", "PICOSEEK_SEARCH_GRAPH_ROWS": "200"}
    process = search_process(environment=settings)
    imports = [Import(None, name, 0) for name in ("left", "right")]
    random = np.random.default_rng(7)
    for kill in range(20):
        with process.channel() as channel:
            client = client_of(channel)
            if kill == 0:
                graph = collection_pb2.IndexConfig(factory="HNSW8")
                client.create(name="g", dimension=DIMENSION, metric=embedding_pb2.METRIC_L2, index=graph)
            else:
                check(client, imports)
            for one in imports:
                one.client = client
            threads = [threading.Thread(target=one.run) for one in imports]
            for thread in threads:
                thread.start()
            goal = sum(one.version for one in imports) + int(random.integers(2, 60))
            waiting.until(lambda goal=goal: sum(one.version for one in imports) > goal, WITHIN_S, 0.001)
            process.kill()
            for thread in threads:
                thread.join(WITHIN_S)
        process.start()
    with process.channel() as channel:
        check(client_of(channel), imports)
    assert sum(len(one.acknowledged) for one in imports) > 300


def test_a_write_whose_answer_was_lost_can_be_sent_again(
    search_process: Callable[..., Any], client_of: Callable[..., Any]
) -> None:
    process = search_process()
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g", dimension=DIMENSION)
        first = client.upsert("g", [make("left-1", 1)], "w1")
        process.kill()
    process.start()
    with process.channel() as channel:
        again = client_of(channel).upsert("g", [make("left-1", 1)], "w1")
    assert again.already_applied
    assert again.revision == first.revision
