"""Galleries of packed bits over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2

WITHIN_S = 60.0
DIMENSION = 64
BITS = np.random.default_rng(3).integers(0, 256, (200, DIMENSION // 8), np.uint8)


def create(client: Any, space: str, name: str, **more: object) -> collection_pb2.Collection:
    asked = collection_pb2.Collection(
        name=name,
        space=embedding_pb2.EmbeddingSpace(digest=space, dimension=DIMENSION, type=embedding_pb2.VECTOR_TYPE_BITS),
        **more,
    )
    request = collection_pb2.CreateCollectionRequest(collection=asked)
    return client.collections.CreateCollection(request, timeout=WITHIN_S).collection


def search(client: Any, space: str, name: str, vectors: bytes, k: int, **more: object) -> search_pb2.SearchResponse:
    queries = len(vectors) // (DIMENSION // 8)
    request = search_pb2.SearchRequest(collection=name, space=space, vectors=vectors, queries=queries or 1, k=k, **more)
    return client.search.Search(request, timeout=WITHIN_S)


def test_the_score_is_the_number_of_bits_that_differ(client: Any, space: str) -> None:
    made = create(client, space, "bits")
    assert made.metric == embedding_pb2.METRIC_HAMMING
    assert made.index.factory == "BHNSW32"
    documents = [
        document_pb2.Document(id=f"d{place}", vector=bits.tobytes(), labels=["even" if place % 2 == 0 else "odd"])
        for place, bits in enumerate(BITS)
    ]
    client.upsert("bits", documents)
    client.search.Delete(search_pb2.DeleteRequest(collection="bits", ids=["d5"]), timeout=WITHIN_S)
    differing = np.bitwise_count(BITS[5] ^ BITS).sum(axis=1)

    answer = search(client, space, "bits", BITS[5].tobytes(), 1000)
    assert not answer.larger_is_closer
    assert len(answer.ids) == len(BITS) - 1
    scores = np.frombuffer(answer.scores, "<f4")
    assert scores.tolist() == [differing[int(id_[1:])] for id_ in answer.ids]
    assert (np.diff(scores) >= 0).all()

    near = search(client, space, "bits", BITS[5].tobytes(), 1000, filter="labels:odd", score_threshold=30.0)
    within = {f"d{place}" for place in range(1, len(BITS), 2) if place != 5 and differing[place] <= 30}
    assert set(near.ids) == within

    read = search(client, space, "bits", BITS[:2].tobytes(), 1, include=document_pb2.DocumentMask(vector=True))
    assert list(read.ids) == ["d0", "d1"]
    assert [document.vector for document in read.documents] == [BITS[0].tobytes(), BITS[1].tobytes()]
    assert read.vector_type == embedding_pb2.VECTOR_TYPE_BITS


def test_sizes_are_checked_in_bytes_of_bits(
    client: Any, space: str, reason_of: Callable[[grpc.RpcError], tuple[grpc.StatusCode, str, float]]
) -> None:
    create(client, space, "sizes", index=collection_pb2.IndexConfig(factory="BFlat"))
    floats = np.zeros(DIMENSION, "<f4").tobytes()
    with pytest.raises(grpc.RpcError) as caught:
        client.upsert("sizes", [document_pb2.Document(id="a", vector=floats)])
    assert reason_of(caught.value)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "VECTOR_DIMENSION_MISMATCH")
    assert "documents[0].vector has 256 bytes; 64 packed bits are 8" in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        search(client, space, "sizes", b"\0" * 7, 1)
    assert reason_of(caught.value)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "VECTOR_DIMENSION_MISMATCH")
    assert "1 queries of 64 packed bits are 8" in caught.value.details()
