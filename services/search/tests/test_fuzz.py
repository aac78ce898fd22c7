"""Requests drawn at random: an answer or an error of the contract, never a failure of the service."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import picoseek_protos
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import (
    collection_pb2,
    collection_service_pb2,
    document_pb2,
    embedding_pb2,
    operation_pb2,
    revision_pb2,
    search_pb2,
    search_service_pb2,
    snapshot_pb2,
)

SOAK_REQUESTS = int(os.environ.get("PICOSEEK_SOAK_REQUESTS", "0"))
SEED = int(os.environ.get("PICOSEEK_SOAK_SEED", "7"))
WITHIN_S = 60.0
SPACE = "sha256:" + "5e" * 32
FAILURES = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
FAILURE_NUMBERS = {code.value[0] for code in FAILURES}
_LOG = logging.getLogger(__name__)

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
    "GetSearchQuality": st.builds(search_pb2.GetSearchQualityRequest, collection=names),
    "CreateSnapshot": st.builds(
        snapshot_pb2.CreateSnapshotRequest, collection=names, name=names, location=st.just("") | texts, request_id=texts
    ),
    "ListSnapshots": st.builds(snapshot_pb2.ListSnapshotsRequest, collection=names, page_size=counts, page_token=texts),
    "GetSnapshot": st.builds(snapshot_pb2.GetSnapshotRequest, collection=names, snapshot=names),
    "VerifySnapshot": st.builds(snapshot_pb2.VerifySnapshotRequest, collection=names, snapshot=names),
    "RestoreSnapshot": st.builds(
        snapshot_pb2.RestoreSnapshotRequest,
        collection=names,
        snapshot=names,
        location=st.just("") | texts,
        target=st.just("other") | names,
        overwrite=st.booleans(),
        request_id=texts,
    ),
    "DeleteSnapshot": st.builds(snapshot_pb2.DeleteSnapshotRequest, collection=names, snapshot=names),
}
STREAMS = {
    "StreamSearch": st.lists(
        st.builds(search_pb2.StreamSearchRequest, call_id=st.integers(0, 3), request=st.none() | REQUESTS["Search"]),
        max_size=5,
    ),
}
SERVICES = [
    module.DESCRIPTOR.services_by_name[name]
    for module, name in ((search_service_pb2, "SearchService"), (collection_service_pb2, "CollectionService"))
]
METHODS: dict[str, MethodDescriptor] = {method.name: method for service in SERVICES for method in service.methods}
CONTRACT = Path(picoseek_protos.__file__).parents[2] / "picoseek" / "v1"


def documented(method: str) -> set[str]:
    """Return the reasons that a service's contract lists."""
    service = METHODS[method].containing_service.name
    path = CONTRACT / f"{re.sub('(?<!^)(?=[A-Z])', '_', service).lower()}.proto"
    table = [line for line in path.read_text().splitlines() if line.startswith("// |")]
    return set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", "\n".join(line.split("|")[2] for line in table)))


class Caller:
    """Makes calls of any method, of requests and of bytes, and judges the answers."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._reasons = {method: documented(method) for method in METHODS}
        self.outcomes: Counter[str] = Counter()

    def call(self, method: str, requests: list[bytes]) -> None:
        described = METHODS[method]
        path = f"/{described.containing_service.full_name}/{method}"
        read = GetMessageClass(described.output_type).FromString
        try:
            if described.client_streaming:
                stream = self._channel.stream_stream(path, response_deserializer=read)
                for answer in stream(iter(requests), timeout=WITHIN_S):
                    if answer.HasField("error"):
                        self._judge(method, answer.error)
            else:
                self._channel.unary_unary(path, response_deserializer=read)(requests[0], timeout=WITHIN_S)
            self.outcomes["OK"] += 1
        except grpc.RpcError as error:
            if error.code() in FAILURES:
                raise AssertionError(f"{method}: {error.details()}") from error
            trailing = dict(error.trailing_metadata())
            self._judge(method, status_pb2.Status.FromString(trailing["grpc-status-details-bin"]))

    def _judge(self, method: str, status: status_pb2.Status) -> None:
        assert status.code not in FAILURE_NUMBERS, status
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert info.domain == "picoseek"
        assert info.reason in self._reasons[method], f"{method}: {info.reason} is not in the contract"
        assert status.message
        self.outcomes[info.reason] += 1


def requests_of(method: str) -> st.SearchStrategy[list[bytes]]:
    """Requests, and now and then bytes that are none: cut short, changed, or anything."""
    messages: st.SearchStrategy[list[Message]] = (
        STREAMS[method] if method in STREAMS else REQUESTS[method].map(lambda request: [request])
    )
    whole = messages.map(lambda several: [message.SerializeToString() for message in several])

    def damaged(several: list[bytes], place: int, byte: int, cut: bool) -> list[bytes]:
        if not several:
            return [bytes([byte])]
        content = bytearray(several[-1])
        if content and cut:
            del content[place % len(content) :]
        elif content:
            content[place % len(content)] = byte
        return [*several[:-1], bytes(content)]

    changed = st.builds(damaged, whole, st.integers(0, 2**16), st.integers(0, 255), st.booleans())
    noise = st.binary(min_size=1, max_size=60).map(lambda content: [content])
    return st.one_of(whole, whole, whole, changed, noise)


def check(caller: Caller, method: str, examples: int, round_: int = 0) -> None:
    @seed(SEED + round_)
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(requests_of(method))
    def run(requests: list[bytes]) -> None:
        caller.call(method, requests)

    run()


def prepare(client: Any) -> None:
    """Make the collection that requests are about, if it is not there."""
    names_there = collection_pb2.ListCollectionsRequest()
    listed = client.collections.ListCollections(names_there, timeout=WITHIN_S).collections
    if "fuzz" not in {collection.name for collection in listed}:
        number = collection_pb2.AttributeField(name="n", type=collection_pb2.ATTRIBUTE_TYPE_INT)
        client.create(name="fuzz", dimension=4, schema=[number])
        vector = np.ones(4, "<f4").tobytes()
        client.upsert("fuzz", [document_pb2.Document(id=id_, vector=vector) for id_ in ("a", "b")])


def test_every_method_is_covered() -> None:
    assert set(REQUESTS) | set(STREAMS) == set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(METHODS))
def test_no_request_fails_the_service(client: Any, shared_process: Any, method: str) -> None:
    prepare(client)
    with shared_process.channel() as channel:
        caller = Caller(channel)
        check(caller, method, examples=60)
    assert sum(caller.outcomes.values()) >= 60
    assert "Traceback" not in shared_process.log.read_text()


def resident_bytes(process: Any) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


@pytest.mark.slow
@pytest.mark.skipif(not SOAK_REQUESTS, reason="`make soak` sets PICOSEEK_SOAK_REQUESTS")
def test_many_requests_leave_nothing_in_memory(
    search_process: Callable[..., Any], client_of: Callable[..., Any]
) -> None:
    process = search_process(environment={"PICOSEEK_SEARCH_LOG_LEVEL": "warning"})
    rounds = 10
    sizes: list[int] = []
    with process.channel() as channel:
        client, caller = client_of(channel), Caller(channel)
        for number in range(rounds):
            for method in METHODS:
                prepare(client)
                check(caller, method, examples=-(-SOAK_REQUESTS // rounds // len(METHODS)), round_=number)
            listed = client.collections.ListCollections(
                collection_pb2.ListCollectionsRequest(page_size=1000), timeout=WITHIN_S
            ).collections
            aliases = client.collections.ListAliases(
                collection_pb2.ListAliasesRequest(page_size=1000), timeout=WITHIN_S
            ).aliases
            for alias in aliases:
                client.collections.DeleteAlias(collection_pb2.DeleteAliasRequest(name=alias.name), timeout=WITHIN_S)
            for collection in listed:
                request = collection_pb2.DeleteCollectionRequest(name=collection.name)
                client.collections.DeleteCollection(request, timeout=WITHIN_S)
            sizes.append(resident_bytes(process))
            _LOG.warning("round %d: %d answers, %d MB", number, sum(caller.outcomes.values()), sizes[-1] >> 20)
    _LOG.warning("seed %d: %s", SEED, dict(caller.outcomes.most_common()))
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
    # After warming up, what a request leaves behind would add up over all the later ones.
    assert max(sizes[rounds // 2 :]) <= 1.15 * max(sizes[: rounds // 2]) + (8 << 20), [size >> 20 for size in sizes]
