"""Requests drawn at random: an answer or an error of the contract, never a failure of the service."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, operation_pb2, revision_pb2, search_pb2

WITHIN_S = 60.0
SPACE = "sha256:" + "5e" * 32
FAILURES = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}

texts = st.text(max_size=12) | st.sampled_from(["a", "b", "id = a", 'labels:"x*"', "attributes.n > 3", "NOT (", "\0"])
names = st.sampled_from(["fuzz"] * 8 + ["", "no"]) | texts
spaces = st.sampled_from([SPACE] * 8 + [""]) | texts
counts = st.sampled_from([0, 1, 1, 2, 3, 1000, 2**32 - 1])
vectors = st.binary(max_size=80) | st.lists(st.floats(width=32), min_size=4, max_size=8).map(
    lambda values: np.array(values, "<f4").tobytes()
)
values = st.builds(
    lambda kind, content: document_pb2.AttributeValue(**{kind: content} if kind else {}),
    st.sampled_from(["", "int_value"]),
    st.integers(-(2**63), 2**63 - 1),
)
documents = st.builds(
    document_pb2.Document,
    id=texts,
    item=texts,
    vector=vectors,
    labels=st.lists(texts, max_size=3),
    attributes=st.dictionaries(texts, values, max_size=2),
    payload=st.binary(max_size=50),
)
masks = st.none() | st.builds(document_pb2.DocumentMask, vector=st.booleans(), labels=st.booleans())
revisions = st.none() | st.builds(revision_pb2.Revision, epoch=st.sampled_from([0, 1]), sequence=st.just(0))
spaces_of_collections = st.builds(
    embedding_pb2.EmbeddingSpace, digest=spaces, dimension=counts, type=st.integers(-1, 5), metric=st.integers(-1, 9)
)
REQUESTS = {
    "Upsert": st.builds(
        search_pb2.UpsertRequest,
        collection=names,
        space=spaces,
        documents=st.lists(documents, max_size=3),
        request_id=texts,
    ),
    "Delete": st.builds(
        search_pb2.DeleteRequest,
        collection=names,
        ids=st.lists(texts, max_size=3),
        filter=texts,
        request_id=texts,
    ),
    "Get": st.builds(
        search_pb2.GetRequest,
        collection=names,
        ids=st.lists(texts, max_size=3),
        include=masks,
        min_revision=revisions,
    ),
    "List": st.builds(
        search_pb2.ListRequest, collection=names, page_size=counts, page_token=texts, filter=texts, include=masks
    ),
    "Count": st.builds(search_pb2.CountRequest, collection=names, filter=texts, min_revision=revisions),
    "Search": st.builds(
        search_pb2.SearchRequest,
        collection=names,
        vectors=vectors,
        queries=counts,
        space=spaces,
        k=counts,
        filter=texts,
        score_threshold=st.none() | st.floats(width=32),
        max_per_item=counts,
        params=st.builds(search_pb2.SearchParams, exact=st.booleans(), ef=counts, nprobe=counts),
        include=masks,
        min_revision=revisions,
        false_accept_rate=st.none() | st.floats(width=32),
    ),
    "CreateCollection": st.builds(
        collection_pb2.CreateCollectionRequest,
        collection=st.builds(
            collection_pb2.Collection,
            name=names,
            space=spaces_of_collections,
            metric=st.integers(-1, 9),
            index=st.builds(collection_pb2.IndexConfig, factory=texts, ef_construction=counts),
            shards=counts,
        ),
        if_not_exists=st.booleans(),
    ),
    "GetCollection": st.builds(collection_pb2.GetCollectionRequest, name=names),
    "ListCollections": st.builds(collection_pb2.ListCollectionsRequest, page_size=counts, page_token=texts),
    "DeleteCollection": st.builds(
        collection_pb2.DeleteCollectionRequest, name=texts, allow_missing=st.booleans(), etag=texts
    ),
    "UpdateCollection": st.builds(
        collection_pb2.UpdateCollectionRequest,
        collection=st.builds(
            collection_pb2.Collection,
            name=names,
            index=st.builds(
                collection_pb2.IndexConfig,
                factory=texts | st.sampled_from(["HNSW8", "SQ8", "IVF,Flat"]),
                defaults=st.builds(search_pb2.SearchParams, exact=st.booleans(), ef=counts, nprobe=counts),
                ef_construction=counts,
            ),
            schema=st.lists(
                st.builds(
                    collection_pb2.AttributeField,
                    name=texts | st.just("n"),
                    type=st.integers(-1, 9),
                    required=st.booleans(),
                ),
                max_size=2,
            ),
            replicas=counts,
            description=texts,
        ),
        update_mask=st.builds(
            FieldMask,
            paths=st.lists(
                st.sampled_from(["index", "index.defaults", "index.factory", "schema", "description", "replicas", "*"])
                | texts,
                max_size=3,
            ),
        ),
        etag=st.just("") | texts,
    ),
    "SetAlias": st.builds(
        collection_pb2.SetAliasRequest,
        alias=st.builds(collection_pb2.Alias, name=texts | names, collection=names),
        expected_collection=st.just("") | names,
    ),
    "DeleteAlias": st.builds(collection_pb2.DeleteAliasRequest, name=texts | names),
    "ListAliases": st.builds(collection_pb2.ListAliasesRequest, page_size=counts, page_token=texts),
    "GetOperation": st.builds(operation_pb2.GetOperationRequest, id=texts),
    "ListOperations": st.builds(
        operation_pb2.ListOperationsRequest, collection=names, page_size=counts, page_token=texts
    ),
    "WaitOperation": st.builds(
        operation_pb2.WaitOperationRequest,
        id=texts,
        timeout=st.builds(Duration, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1)),
    ),
    "CancelOperation": st.builds(operation_pb2.CancelOperationRequest, id=texts),
}


def check(client: Any, method: str, examples: int) -> None:
    stub = client.search if hasattr(client.search, method) else client.collections

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(REQUESTS[method])
    def run(request: Any) -> None:
        error = getattr(stub, method).future(request, timeout=WITHIN_S).exception()
        if error is not None:
            assert error.code() not in FAILURES, error.details()
            assert "grpc-status-details-bin" in dict(error.trailing_metadata())

    run()


@pytest.fixture
def fuzzed(client: Any) -> Any:
    """A client of a service with a small collection."""
    names_there = collection_pb2.ListCollectionsRequest()
    listed = client.collections.ListCollections(names_there, timeout=WITHIN_S).collections
    if "fuzz" not in {collection.name for collection in listed}:
        number = collection_pb2.AttributeField(name="n", type=collection_pb2.ATTRIBUTE_TYPE_INT)
        client.create(name="fuzz", dimension=4, schema=[number])
        vector = np.ones(4, "<f4").tobytes()
        client.upsert("fuzz", [document_pb2.Document(id=id_, vector=vector) for id_ in ("a", "b")])
    return client


@pytest.mark.parametrize("method", list(REQUESTS))
def test_no_request_fails_the_service(fuzzed: Any, method: str) -> None:
    check(fuzzed, method, examples=60)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(REQUESTS))
def test_no_request_of_many_fails_the_service(fuzzed: Any, method: str) -> None:
    check(fuzzed, method, examples=600)
