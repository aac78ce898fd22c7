"""Whatever is wrong with a call gets its own clear answer, and the service goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2

WITHIN_S = 60.0
SPACE = "sha256:" + "5e" * 32
ONE = np.ones(8, "<f4").tobytes()
BAD = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
STATE = grpc.StatusCode.FAILED_PRECONDITION


def with_value(value: float) -> bytes:
    vector = np.ones(8, "<f4")
    vector[3] = value
    return vector.tobytes()


def upsert(*documents: document_pb2.Document, **more: Any) -> search_pb2.UpsertRequest:
    return search_pb2.UpsertRequest(**({"collection": "c", "space": SPACE, "documents": documents} | more))


def document(**parts: Any) -> document_pb2.Document:
    return document_pb2.Document(**({"id": "new", "vector": ONE} | parts))


def search(**parts: Any) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(
        **({"collection": "c", "space": SPACE, "vectors": ONE, "queries": 1, "k": 1} | parts)
    )


def create(**parts: Any) -> collection_pb2.CreateCollectionRequest:
    space = embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=8)
    return collection_pb2.CreateCollectionRequest(
        collection=collection_pb2.Collection(**({"name": "new", "space": space} | parts))
    )


def attribute(name: str, **value: Any) -> document_pb2.Document:
    return document(attributes={"must": TEXT, name: document_pb2.AttributeValue(**value)})


TEXT = document_pb2.AttributeValue(string_value="x")
FIELD = collection_pb2.AttributeField


@dataclass(frozen=True)
class Case:
    """A call and the answer to it."""

    method: str
    request: Any
    code: grpc.StatusCode
    reason: str
    says: str


def bad_space(**parts: Any) -> collection_pb2.CreateCollectionRequest:
    return create(space=embedding_pb2.EmbeddingSpace(**({"digest": SPACE, "dimension": 8} | parts)))


def bad_index(**parts: Any) -> collection_pb2.CreateCollectionRequest:
    return create(index=collection_pb2.IndexConfig(**parts))


CASES = {
    "upsert: unknown collection": Case(
        "Upsert", upsert(document(), collection="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "upsert: no collection": Case(
        "Upsert", upsert(document(), collection=""), MISSING, "COLLECTION_NOT_FOUND", "picoseek collection list"
    ),
    "upsert: another space": Case(
        "Upsert", upsert(document(), space="sha256:" + "0" * 64), STATE, "EMBEDDING_SPACE_MISMATCH", SPACE
    ),
    "upsert: no space": Case("Upsert", upsert(document(), space=""), STATE, "EMBEDDING_SPACE_MISMATCH", SPACE),
    "upsert: nothing": Case("Upsert", upsert(), BAD, "REQUEST_EMPTY", "documents is empty"),
    "upsert: too many": Case(
        "Upsert", upsert(*[document(id=f"n{i}") for i in range(1001)]), BAD, "REQUEST_TOO_LARGE", "1001"
    ),
    "upsert: same id twice": Case("Upsert", upsert(document(), document()), BAD, "DUPLICATE_ID", "documents[1]"),
    "upsert: no id": Case("Upsert", upsert(document(id="")), BAD, "DOCUMENT_INVALID", "documents[0].id"),
    "upsert: long id": Case("Upsert", upsert(document(id="é" * 257)), BAD, "DOCUMENT_INVALID", "512"),
    "upsert: control character in id": Case("Upsert", upsert(document(id="a\nb")), BAD, "DOCUMENT_INVALID", "control"),
    "upsert: NUL in item": Case("Upsert", upsert(document(item="a\0")), BAD, "DOCUMENT_INVALID", "documents[0].item"),
    "upsert: empty label": Case("Upsert", upsert(document(labels=["a", ""])), BAD, "DOCUMENT_INVALID", "labels[1]"),
    "upsert: many labels": Case("Upsert", upsert(document(labels=["a"] * 101)), BAD, "DOCUMENT_INVALID", "100"),
    "upsert: long payload": Case("Upsert", upsert(document(payload=bytes(65537))), BAD, "DOCUMENT_INVALID", "65536"),
    "upsert: long source": Case(
        "Upsert",
        upsert(document(provenance=document_pb2.Provenance(source="a" * 4097))),
        BAD,
        "DOCUMENT_INVALID",
        "source",
    ),
    "upsert: no vector": Case(
        "Upsert", upsert(document(vector=b"")), BAD, "VECTOR_DIMENSION_MISMATCH", "documents[0].vector has 0"
    ),
    "upsert: wrong dimension": Case(
        "Upsert",
        upsert(document(), document(id="b", vector=ONE[:28])),
        BAD,
        "VECTOR_DIMENSION_MISMATCH",
        "documents[1].vector has 28",
    ),
    "upsert: NaN": Case(
        "Upsert",
        upsert(document(), document(id="b", vector=with_value(np.nan))),
        BAD,
        "VECTOR_NOT_FINITE",
        "documents[1].vector",
    ),
    "upsert: infinity": Case(
        "Upsert", upsert(document(vector=with_value(-np.inf))), BAD, "VECTOR_NOT_FINITE", "infinity"
    ),
    "upsert: too long a vector": Case(
        "Upsert", upsert(document(vector=with_value(1e30))), BAD, "VECTOR_NOT_FINITE", "longer than"
    ),
    "upsert: zero vector": Case("Upsert", upsert(document(vector=bytes(32))), BAD, "VECTOR_NOT_FINITE", "no direction"),
    "upsert: long request id": Case(
        "Upsert", upsert(document(), request_id="a" * 129), BAD, "DOCUMENT_INVALID", "request_id"
    ),
    "upsert: unknown attribute": Case(
        "Upsert", upsert(attribute("colour", string_value="x")), BAD, "DOCUMENT_INVALID", "colour"
    ),
    "upsert: attribute of another type": Case(
        "Upsert", upsert(attribute("number", int_value=1)), BAD, "DOCUMENT_INVALID", "as 5.0, not 5"
    ),
    "upsert: attribute without value": Case(
        "Upsert", upsert(attribute("number")), BAD, "DOCUMENT_INVALID", "without a value, the schema says double_value"
    ),
    "upsert: NaN attribute": Case(
        "Upsert", upsert(attribute("number", double_value=np.nan)), BAD, "DOCUMENT_INVALID", "finite"
    ),
    "upsert: impossible time": Case(
        "Upsert",
        upsert(attribute("moment", timestamp_value=Timestamp(seconds=10**15))),
        BAD,
        "DOCUMENT_INVALID",
        "9999",
    ),
    "upsert: long attribute": Case(
        "Upsert", upsert(attribute("must", string_value="a" * 65537)), BAD, "DOCUMENT_INVALID", "65536"
    ),
    "upsert: missing attribute": Case(
        "Upsert", upsert(document(), collection="strict"), BAD, "DOCUMENT_INVALID", "requires"
    ),
    "delete: unknown collection": Case(
        "Delete", search_pb2.DeleteRequest(collection="no", ids=["a"]), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "delete: nothing": Case("Delete", search_pb2.DeleteRequest(collection="c"), BAD, "REQUEST_EMPTY", "ids"),
    "delete: blank filter": Case(
        "Delete", search_pb2.DeleteRequest(collection="c", filter="  "), BAD, "REQUEST_EMPTY", "ids"
    ),
    "delete: ids and filter": Case(
        "Delete", search_pb2.DeleteRequest(collection="c", ids=["a"], filter="id=a"), BAD, "FILTER_INVALID", "both"
    ),
    "delete: bad filter": Case(
        "Delete", search_pb2.DeleteRequest(collection="c", filter="price < 3"), BAD, "FILTER_INVALID", "price"
    ),
    "delete: same id twice": Case(
        "Delete", search_pb2.DeleteRequest(collection="c", ids=["a", "a"]), BAD, "DUPLICATE_ID", "ids[1]"
    ),
    "delete: empty id": Case(
        "Delete", search_pb2.DeleteRequest(collection="c", ids=["a", ""]), BAD, "DOCUMENT_INVALID", "ids[1]"
    ),
    "delete: too many": Case(
        "Delete",
        search_pb2.DeleteRequest(collection="c", ids=[str(i) for i in range(1001)]),
        BAD,
        "REQUEST_TOO_LARGE",
        "1000",
    ),
    "get: unknown collection": Case(
        "Get", search_pb2.GetRequest(collection="no", ids=["a"]), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "get: nothing": Case("Get", search_pb2.GetRequest(collection="c"), BAD, "REQUEST_EMPTY", "ids"),
    "get: too many": Case(
        "Get",
        search_pb2.GetRequest(collection="c", ids=[str(i) for i in range(1001)]),
        BAD,
        "REQUEST_TOO_LARGE",
        "1000",
    ),
    "get: same id twice": Case(
        "Get", search_pb2.GetRequest(collection="c", ids=["a", "a"]), BAD, "DUPLICATE_ID", "ids[1]"
    ),
    "list: unknown collection": Case(
        "List", search_pb2.ListRequest(collection="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "list: token that is none": Case(
        "List", search_pb2.ListRequest(collection="c", page_token="zzz"), BAD, "PAGE_TOKEN_INVALID", "page_token"
    ),
    "list: made-up token": Case(
        "List",
        search_pb2.ListRequest(collection="c", page_token="YWFhYWFhYWFhYWFh"),
        BAD,
        "PAGE_TOKEN_INVALID",
        "page_token",
    ),
    "list: non-ASCII token": Case(
        "List", search_pb2.ListRequest(collection="c", page_token="é"), BAD, "PAGE_TOKEN_INVALID", "page_token"
    ),
    "list: bad filter": Case(
        "List", search_pb2.ListRequest(collection="c", filter="(((("), BAD, "FILTER_INVALID", "filter"
    ),
    "count: unknown collection": Case(
        "Count", search_pb2.CountRequest(collection="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "count: bad filter": Case(
        "Count", search_pb2.CountRequest(collection="c", filter="id ="), BAD, "FILTER_INVALID", "ends too early"
    ),
    "search: unknown collection": Case("Search", search(collection="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"),
    "search: another space": Case(
        "Search", search(space="sha256:" + "1" * 64), STATE, "EMBEDDING_SPACE_MISMATCH", SPACE
    ),
    "search: k = 0": Case("Search", search(k=0), BAD, "K_OUT_OF_RANGE", "k is 0"),
    "search: large k": Case("Search", search(k=1001), BAD, "K_OUT_OF_RANGE", "1000"),
    "search: no queries": Case("Search", search(queries=0), BAD, "REQUEST_EMPTY", "queries"),
    "search: many queries": Case("Search", search(queries=1025), BAD, "REQUEST_TOO_LARGE", "1024"),
    "search: many hits": Case("Search", search(queries=1000, k=1000), BAD, "REQUEST_TOO_LARGE", "queries times k"),
    "search: no vector": Case("Search", search(vectors=b""), BAD, "VECTOR_DIMENSION_MISMATCH", "0 bytes"),
    "search: wrong dimension": Case("Search", search(vectors=ONE[:28]), BAD, "VECTOR_DIMENSION_MISMATCH", "28 bytes"),
    "search: fewer vectors than queries": Case("Search", search(queries=2), BAD, "VECTOR_DIMENSION_MISMATCH", "64"),
    "search: NaN": Case(
        "Search", search(vectors=ONE + with_value(np.nan), queries=2), BAD, "VECTOR_NOT_FINITE", "query 1"
    ),
    "search: infinity": Case("Search", search(vectors=with_value(np.inf)), BAD, "VECTOR_NOT_FINITE", "query 0"),
    "search: zero vector": Case("Search", search(vectors=bytes(32)), BAD, "VECTOR_NOT_FINITE", "no direction"),
    "search: NaN threshold": Case(
        "Search", search(score_threshold=np.nan), BAD, "VECTOR_NOT_FINITE", "score_threshold"
    ),
    "search: bad filter": Case("Search", search(filter="attributes.weight > 3"), BAD, "FILTER_INVALID", "weight"),
    "search: long filter": Case("Search", search(filter="id = " + "a" * 5000), BAD, "FILTER_INVALID", "4096"),
    "search: rate of 0": Case("Search", search(false_accept_rate=0), BAD, "RATE_OUT_OF_RANGE", "false_accept_rate"),
    "search: NaN rate": Case("Search", search(false_accept_rate=np.nan), BAD, "RATE_OUT_OF_RANGE", "false_accept_rate"),
    "create: nothing": Case(
        "CreateCollection", collection_pb2.CreateCollectionRequest(), BAD, "COLLECTION_INVALID", "collection.name"
    ),
    "create: path as name": Case(
        "CreateCollection", create(name="../../etc"), BAD, "COLLECTION_INVALID", "collection.name"
    ),
    "create: capitals in name": Case(
        "CreateCollection", create(name="Shoes"), BAD, "COLLECTION_INVALID", "collection.name"
    ),
    "create: long name": Case("CreateCollection", create(name="a" * 65), BAD, "COLLECTION_INVALID", "collection.name"),
    "create: name is taken": Case(
        "CreateCollection", create(name="c"), grpc.StatusCode.ALREADY_EXISTS, "COLLECTION_EXISTS", "'c' already; choose"
    ),
    "create: no digest": Case("CreateCollection", bad_space(digest=""), BAD, "COLLECTION_INVALID", "space.digest"),
    "create: no dimension": Case(
        "CreateCollection", bad_space(dimension=0), BAD, "COLLECTION_INVALID", "space.dimension"
    ),
    "create: huge dimension": Case(
        "CreateCollection", bad_space(dimension=2**31), BAD, "COLLECTION_INVALID", "space.dimension"
    ),
    "create: bits": Case(
        "CreateCollection",
        bad_space(type=embedding_pb2.VECTOR_TYPE_BITS, dimension=12),
        BAD,
        "COLLECTION_INVALID",
        "a multiple of 8",
    ),
    "create: vector type of the future": Case(
        "CreateCollection", bad_space(type=9), BAD, "COLLECTION_INVALID", "space.type"
    ),
    "create: bits by cosine": Case(
        "CreateCollection",
        bad_space(type=embedding_pb2.VECTOR_TYPE_BITS, metric=embedding_pb2.METRIC_COSINE, dimension=8),
        BAD,
        "COLLECTION_INVALID",
        "must be Hamming, since space.type is packed bits",
    ),
    "create: bits in an index of floats": Case(
        "CreateCollection",
        create(
            space=embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=8, type=embedding_pb2.VECTOR_TYPE_BITS),
            index=collection_pb2.IndexConfig(factory="HNSW16"),
        ),
        BAD,
        "COLLECTION_INVALID",
        'use "BFlat" or "BHNSW<M>"',
    ),
    "create: default rerank": Case(
        "CreateCollection",
        bad_index(defaults=search_pb2.SearchParams(rerank=10**6)),
        BAD,
        "COLLECTION_INVALID",
        "defaults.rerank",
    ),
    "create: parts of a vector": Case(
        "CreateCollection",
        bad_index(factory="IVF,PQ3"),
        BAD,
        "COLLECTION_INVALID",
        "use one of 1, 2, 4, 8",
    ),
    "create: an index that cannot leave rows out": Case(
        "CreateCollection", bad_index(factory="PQ2"), BAD, "COLLECTION_INVALID", 'use "IVF,PQ<m>"'
    ),
    "create: Hamming": Case(
        "CreateCollection", create(metric=embedding_pb2.METRIC_HAMMING), BAD, "COLLECTION_INVALID", "metric"
    ),
    "create: metric of the future": Case("CreateCollection", create(metric=77), BAD, "COLLECTION_INVALID", "metric"),
    "create: shards": Case("CreateCollection", create(shards=2), BAD, "COLLECTION_INVALID", "shards"),
    "create: replicas": Case("CreateCollection", create(replicas=3), BAD, "COLLECTION_INVALID", "replicas"),
    "create: other index": Case(
        "CreateCollection", bad_index(factory="LSH"), BAD, "COLLECTION_INVALID", '"Flat", "HNSW<M>"'
    ),
    "create: ef_construction": Case(
        "CreateCollection", bad_index(ef_construction=10**6), BAD, "COLLECTION_INVALID", "ef_construction"
    ),
    "create: default ef": Case(
        "CreateCollection",
        bad_index(defaults=search_pb2.SearchParams(ef=10**6)),
        BAD,
        "COLLECTION_INVALID",
        "defaults.ef",
    ),
    "create: long description": Case(
        "CreateCollection", create(description="a" * 4097), BAD, "COLLECTION_INVALID", "description"
    ),
    "create: attribute name": Case(
        "CreateCollection", create(schema=[FIELD(name="a'b", type=1)]), BAD, "COLLECTION_INVALID", "schema[0].name"
    ),
    "create: attribute twice": Case(
        "CreateCollection", create(schema=[FIELD(name="a", type=1)] * 2), BAD, "COLLECTION_INVALID", "schema[1].name"
    ),
    "create: attribute type": Case(
        "CreateCollection", create(schema=[FIELD(name="a")]), BAD, "COLLECTION_INVALID", "schema[0].type"
    ),
    "get collection: unknown": Case(
        "GetCollection", collection_pb2.GetCollectionRequest(name="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "list collections: bad token": Case(
        "ListCollections",
        collection_pb2.ListCollectionsRequest(page_token="x"),
        BAD,
        "PAGE_TOKEN_INVALID",
        "page_token",
    ),
    "delete collection: unknown": Case(
        "DeleteCollection", collection_pb2.DeleteCollectionRequest(name="no"), MISSING, "COLLECTION_NOT_FOUND", "'no'"
    ),
    "delete collection: old etag": Case(
        "DeleteCollection",
        collection_pb2.DeleteCollectionRequest(name="c", etag="x"),
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
        "again",
    ),
}


@pytest.fixture(scope="module")
def prepared(shared_process: Any) -> None:
    from picoseek_protos.v1 import collection_service_pb2_grpc, search_service_pb2_grpc

    schema = [
        FIELD(name="must", type=collection_pb2.ATTRIBUTE_TYPE_STRING),
        FIELD(name="number", type=collection_pb2.ATTRIBUTE_TYPE_DOUBLE),
        FIELD(name="moment", type=collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP),
    ]
    strict = [FIELD(name="must", type=collection_pb2.ATTRIBUTE_TYPE_STRING, required=True)]
    with shared_process.channel() as channel:
        stub = collection_service_pb2_grpc.CollectionServiceStub(channel)
        stub.CreateCollection(create(name="c", schema=schema), timeout=WITHIN_S)
        stub.CreateCollection(create(name="strict", schema=strict), timeout=WITHIN_S)
        search_service_pb2_grpc.SearchServiceStub(channel).Upsert(upsert(document(id="old")), timeout=WITHIN_S)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("name", list(CASES))
def test_bad_input_has_a_clear_answer(
    client: Any, reason_of: Callable[[grpc.RpcError], tuple[grpc.StatusCode, str, float]], name: str
) -> None:
    case = CASES[name]
    stub = client.collections if case.method.endswith(("Collection", "Collections")) else client.search
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, case.method)(case.request, timeout=WITHIN_S)
    code, reason, _ = reason_of(caught.value)
    assert (code, reason) == (case.code, case.reason), caught.value.details()
    assert case.says in caught.value.details()
    # The service is as it was.
    count = client.search.Count(search_pb2.CountRequest(collection="c"), timeout=WITHIN_S)
    assert count.documents == 1
    assert count.revision.sequence == 1
    assert list(client.search.Search(search(k=10), timeout=WITHIN_S).ids) == ["old"]


@pytest.mark.usefixtures("prepared")
def test_a_message_over_the_limit_is_refused(client: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.search.Upsert(upsert(document(payload=bytes(70 << 20))), timeout=WITHIN_S)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert list(client.search.Search(search(k=10), timeout=WITHIN_S).ids) == ["old"]


@pytest.mark.usefixtures("prepared")
def test_bytes_that_are_no_message_are_refused(shared_process: Any, client: Any) -> None:
    with shared_process.channel() as channel:
        call = channel.unary_unary("/picoseek.v1.SearchService/Search")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff\xff", timeout=WITHIN_S)
        assert caught.value.code() is not grpc.StatusCode.OK
    assert list(client.search.Search(search(k=10), timeout=WITHIN_S).ids) == ["old"]


@pytest.mark.usefixtures("prepared")
def test_an_answer_that_would_be_too_long_is_refused(client: Any, reason_of: Any) -> None:
    documents = [document(id=f"big{number}", payload=bytes(60 << 10)) for number in range(60)]
    big = create(name="big")
    client.collections.CreateCollection(big, timeout=WITHIN_S)
    client.search.Upsert(upsert(*documents, collection="big"), timeout=WITHIN_S)
    include = document_pb2.DocumentMask(payload=True)
    vectors = np.ones((30, 8), "<f4").tobytes()
    with pytest.raises(grpc.RpcError) as caught:
        client.search.Search(
            search(collection="big", k=60, include=include, vectors=vectors, queries=30), timeout=WITHIN_S
        )
    assert reason_of(caught.value)[:2] == (BAD, "REQUEST_TOO_LARGE")
    assert "include" in caught.value.details()
