"""Changes of the index kind of a real service, under searches and writes, and killed in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import grpc
import numpy as np
import pytest
import waiting
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_protos.v1 import collection_pb2, document_pb2, operation_pb2, search_pb2

WITHIN_S = 120.0
DIMENSION = 16
SMALL = {
    "PICOSEEK_SEARCH_GROWING_ROWS": "256",
    "PICOSEEK_SEARCH_GRAPH_ROWS": "512",
    "PICOSEEK_SEARCH_IDLE_S": "0.2",
}
Make = Callable[..., document_pb2.Document]


def vectors(numbers: Sequence[int]) -> np.ndarray:
    return np.array([np.random.default_rng(number).normal(size=DIMENSION) for number in numbers], np.float32)


def write(client, document_of: Make, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 500):
        some = range(start, min(start + 500, numbers.stop))
        client.upsert(
            "gallery", [document_of(f"d{number}", row) for number, row in zip(some, vectors(some), strict=True)]
        )


def change_kind(client, factory: str) -> str:
    request = collection_pb2.UpdateCollectionRequest(
        collection=collection_pb2.Collection(name="gallery", index=collection_pb2.IndexConfig(factory=factory)),
        update_mask=FieldMask(paths=["index.factory"]),
    )
    return client.collections.UpdateCollection(request, timeout=WITHIN_S).operation_id


def operation(client, id_: str) -> operation_pb2.Operation:
    return client.collections.GetOperation(operation_pb2.GetOperationRequest(id=id_), timeout=WITHIN_S).operation


def wait(client, id_: str) -> operation_pb2.Operation:
    """Wait with the service's own bounded wait."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        request = operation_pb2.WaitOperationRequest(id=id_, timeout=Duration(seconds=5))
        now = client.collections.WaitOperation(request, timeout=WITHIN_S).operation
        if now.HasField("ended_at"):
            return now
    raise TimeoutError(f"operation {id_} did not end")


def described(client) -> collection_pb2.Collection:
    request = collection_pb2.GetCollectionRequest(name="gallery")
    return client.collections.GetCollection(request, timeout=WITHIN_S).collection


def kinds(client) -> set[str]:
    return {segment.kind for segment in described(client).segments} - {"growing", "sealing", "Flat"}


@pytest.mark.slow
def test_searches_and_writes_go_on_while_the_index_changes_there_and_back(
    search_process, client_of, document_of: Make
) -> None:
    """Every answer has min(k, live) hits and the searched document itself is among what was never written to."""
    process = search_process(environment=SMALL)
    failures: list[str] = []
    stop = threading.Event()
    searched = 0

    def search() -> None:
        nonlocal searched
        draw = np.random.default_rng(threading.get_ident())
        with process.channel() as channel:
            client = client_of(channel)
            while not stop.is_set():
                number = int(draw.integers(4000))
                try:
                    found = client.find("gallery", vectors([number]), 50, params=search_pb2.SearchParams(exact=True))
                    near = client.find("gallery", vectors([number]), 50)
                except grpc.RpcError as error:
                    failures.append(str(error))
                    return
                if found.ids[0] != f"d{number}" or {len(found.ids), len(near.ids)} != {50}:
                    failures.append(f"{number}: {len(found.ids)}, {len(near.ids)} hits, first {found.ids[:1]}")
                searched += 1

    def churn() -> None:
        with process.channel() as channel:
            client, turn = client_of(channel), 0
            while not stop.is_set():
                first = 4000 + (turn * 100) % 2000
                try:
                    write(client, document_of, range(first, first + 100))
                    ids = [f"d{number}" for number in range(first, first + 20)]
                    client.search.Delete(search_pb2.DeleteRequest(collection="gallery", ids=ids), timeout=WITHIN_S)
                except grpc.RpcError as error:
                    failures.append(str(error))
                    return
                turn += 1

    with process.channel() as channel:
        client = client_of(channel)
        client.create(dimension=DIMENSION, index=collection_pb2.IndexConfig(factory="HNSW32"))
        write(client, document_of, range(4000))
        waiting.until(lambda: kinds(client) == {"HNSW32"}, WITHIN_S)
        threads = [threading.Thread(target=target) for target in (search, search, churn)]
        for thread in threads:
            thread.start()
        try:
            for factory, built in (("IVF,Flat", "IVF"), ("HNSW32", "HNSW32")):
                generation, before = described(client).index_generation, searched
                waiting.until(lambda seen=before: searched > seen + 20 or bool(failures), WITHIN_S)
                done = wait(client, change_kind(client, factory))
                assert done.state == operation_pb2.OPERATION_STATE_SUCCEEDED, done
                now = described(client)
                assert now.index.factory == factory
                assert now.index_generation > generation
                assert kinds(client)
                assert all(kind.startswith(built) for kind in kinds(client))
        finally:
            stop.set()
            for thread in threads:
                thread.join(WITHIN_S)
    assert failures == []
    assert searched > 40


@pytest.mark.slow
def test_a_rebuild_survives_kills(search_process, client_of, document_of: Make) -> None:
    """The operation ends as asked however often the service dies meanwhile, and nothing is lost or searched halfway."""
    process = search_process(environment=SMALL | {"PICOSEEK_SEARCH_IDLE_S": "0"})
    with process.channel() as channel:
        client = client_of(channel)
        client.create(dimension=DIMENSION, index=collection_pb2.IndexConfig(factory="HNSW32"))
        write(client, document_of, range(3000))
        waiting.until(lambda: kinds(client) == {"HNSW32"}, WITHIN_S)
    written = 3000
    for turn, factory in enumerate(["IVF,SQ8", "HNSW48"]):
        with process.channel() as channel:
            client = client_of(channel)
            id_ = change_kind(client, factory)
            write(client, document_of, range(written, written + 100))
            written += 100
            if turn % 2:
                waiting.until(lambda ask=client, of=id_: operation(ask, of).done > 0, WITHIN_S, every_s=0.002)
            process.kill()
        process.start()
        with process.channel() as channel:
            client = client_of(channel)
            found = client.find("gallery", vectors([1]), 10, params=search_pb2.SearchParams(exact=True))
            assert found.ids[0] == "d1"
            done = wait(client, id_)
            assert done.state == operation_pb2.OPERATION_STATE_SUCCEEDED, done
            assert described(client).index.factory == factory
            assert described(client).documents == written
            assert kinds(client)
            assert all(kind.startswith(factory.split(",")[0].rstrip("0123456789")) for kind in kinds(client))
            numbers = [written - 1, 0, 2999]
            found = client.find("gallery", vectors(numbers), 1, params=search_pb2.SearchParams(exact=True))
            assert list(found.ids) == [f"d{number}" for number in numbers]


def test_operations_are_asked_for_with_care(client, reason_of) -> None:
    service = client.collections
    for call in (
        lambda: service.GetOperation(operation_pb2.GetOperationRequest(id="none"), timeout=WITHIN_S),
        lambda: service.WaitOperation(operation_pb2.WaitOperationRequest(id="none"), timeout=WITHIN_S),
        lambda: service.CancelOperation(operation_pb2.CancelOperationRequest(id="none"), timeout=WITHIN_S),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert reason_of(error.value)[:2] == (grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")
    client.create(name="listed", index=collection_pb2.IndexConfig(factory="HNSW8"))
    made = []
    for factory in ("HNSW16", "HNSW8", "HNSW16"):
        request = collection_pb2.UpdateCollectionRequest(
            collection=collection_pb2.Collection(name="listed", index=collection_pb2.IndexConfig(factory=factory)),
            update_mask=FieldMask(paths=["index"]),
        )
        made.append(service.UpdateCollection(request, timeout=WITHIN_S).operation_id)
        assert wait(client, made[-1]).state == operation_pb2.OPERATION_STATE_SUCCEEDED
    listed, token = [], ""
    while True:
        request = operation_pb2.ListOperationsRequest(collection="listed", page_size=2, page_token=token)
        page = service.ListOperations(request, timeout=WITHIN_S)
        listed += [one.id for one in page.operations]
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]
    other = operation_pb2.ListOperationsRequest(collection="other", page_token=page.next_page_token or "bm8=")
    with pytest.raises(grpc.RpcError) as error:
        service.ListOperations(other, timeout=WITHIN_S)
    assert reason_of(error.value)[1] == "PAGE_TOKEN_INVALID"
    request = operation_pb2.WaitOperationRequest(id=made[0], timeout=Duration(seconds=-1))
    with pytest.raises(grpc.RpcError) as error:
        service.WaitOperation(request, timeout=WITHIN_S)
    assert reason_of(error.value)[1] == "DURATION_INVALID"
