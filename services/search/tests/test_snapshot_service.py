"""Snapshots through the real service: as operations, in S3, and when the service is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import snapshot_places
import waiting
from google.rpc import error_details_pb2
from picoseek_protos.v1 import collection_pb2, document_pb2, operation_pb2, revision_pb2, search_pb2, snapshot_pb2

WITHIN_S = 120.0
DIMENSION = 8
SUCCEEDED = operation_pb2.OPERATION_STATE_SUCCEEDED


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with snapshot_places.s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


def documents(count: int, version: int, payload: bytes = b"") -> list[document_pb2.Document]:
    random = np.random.default_rng(version)
    return [
        document_pb2.Document(
            id=f"d{number}",
            labels=[str(version)],
            payload=payload,
            vector=random.standard_normal(DIMENSION).astype("<f4").tobytes(),
        )
        for number in range(count)
    ]


def ended(client: Any, operation: operation_pb2.Operation) -> operation_pb2.Operation:
    request = operation_pb2.WaitOperationRequest(id=operation.id)
    return client.collections.WaitOperation(request, timeout=WITHIN_S).operation


def create(client: Any, name: str) -> operation_pb2.Operation:
    request = snapshot_pb2.CreateSnapshotRequest(collection="g", name=name)
    return client.collections.CreateSnapshot(request, timeout=WITHIN_S).operation


def restore(client: Any, name: str, target: str = "", *, overwrite: bool = False) -> operation_pb2.Operation:
    request = snapshot_pb2.RestoreSnapshotRequest(collection="g", snapshot=name, target=target, overwrite=overwrite)
    return client.collections.RestoreSnapshot(request, timeout=WITHIN_S).operation


def names(client: Any) -> list[str]:
    answer = client.collections.ListSnapshots(snapshot_pb2.ListSnapshotsRequest(), timeout=WITHIN_S)
    return [one.name for one in answer.snapshots]


def labels(client: Any, collection: str = "g") -> set[str]:
    found: set[str] = set()
    token = ""
    while True:
        request = search_pb2.ListRequest(collection=collection, page_size=1000, page_token=token)
        page = client.search.List(request, timeout=WITHIN_S)
        found |= {label for document in page.documents for label in document.labels}
        token = page.next_page_token
        if not token:
            return found


def operation_reason(operation: operation_pb2.Operation) -> str:
    info = error_details_pb2.ErrorInfo()
    assert operation.error.details[0].Unpack(info)
    return info.reason


def test_from_one_machine_to_another_by_s3(
    s3: str,
    search_process: Callable[..., Any],
    client_of: Callable[..., Any],
    reason_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    place = snapshot_places.bucket(s3, "moving")
    environment = place.environment | {"PICOSEEK_SEARCH_SNAPSHOTS": place.location}
    here = search_process(environment=environment)
    with here.channel() as channel:
        client = client_of(channel)
        client.create(name="g", dimension=DIMENSION)
        for batch in range(3):
            client.upsert("g", documents(200, batch), f"w{batch}")
        made = ended(client, create(client, "one"))
        assert (made.state, made.result, made.unit) == (SUCCEEDED, "one", "bytes")
        assert made.done == made.total > 200 * DIMENSION * 4
        written = client.upsert("g", documents(10, 9)).revision
        with pytest.raises(grpc.RpcError) as error:
            create(client, "one")
        assert reason_of(error.value)[:2] == (grpc.StatusCode.ALREADY_EXISTS, "SNAPSHOT_EXISTS")
        for location in ("/tmp/elsewhere", "s3://other/bucket"):
            request = snapshot_pb2.CreateSnapshotRequest(collection="g", location=location)
            with pytest.raises(grpc.RpcError) as error:
                client.collections.CreateSnapshot(request, timeout=WITHIN_S)
            assert reason_of(error.value)[1] == "SNAPSHOT_INVALID"
        assert ended(client, restore(client, "one", overwrite=True)).state == SUCCEEDED
        with pytest.raises(grpc.RpcError) as error:
            client.find("g", [[0.0] * (DIMENSION - 1) + [1.0]], k=1, min_revision=written)
        assert reason_of(error.value)[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_LOST")
        held = revision_pb2.Revision(epoch=written.epoch, sequence=written.sequence - 1)
        assert len(client.find("g", [[0.0] * (DIMENSION - 1) + [1.0]], k=300, min_revision=held).ids) == 200
    elsewhere = search_process(tmp_path / "elsewhere", environment=environment)
    with elsewhere.channel() as channel:
        client = client_of(channel)
        assert names(client) == ["one"]
        request = snapshot_pb2.VerifySnapshotRequest(collection="g", snapshot="one")
        assert ended(client, client.collections.VerifySnapshot(request, timeout=WITHIN_S).operation).state == SUCCEEDED
        assert ended(client, restore(client, "one", "copy")).result == "copy"
        assert labels(client, "copy") == {"2"}
        blob = max(place.objects("blobs").items(), key=lambda entry: entry[1])[0]
        place.delete(blob)
        failed = ended(client, restore(client, "one", "copy", overwrite=True))
        assert operation_reason(failed) == "SNAPSHOT_DAMAGED"
        assert blob in failed.error.message
        assert labels(client, "copy") == {"2"}
        request = snapshot_pb2.DeleteSnapshotRequest(collection="g", snapshot="one")
        assert ended(client, client.collections.DeleteSnapshot(request, timeout=WITHIN_S).operation).state == SUCCEEDED
        assert place.objects() == {}


def test_pages_and_a_store_that_is_gone(
    search_process: Callable[..., Any], client_of: Callable[..., Any], reason_of: Callable[..., Any], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    process = search_process(environment={"PICOSEEK_SEARCH_SNAPSHOTS": str(tmp_path / "snapshots")})
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g", dimension=DIMENSION)
        for number in range(5):
            assert ended(client, create(client, f"s{number}")).state == SUCCEEDED
        found: list[str] = []
        token = ""
        while True:
            request = snapshot_pb2.ListSnapshotsRequest(collection="g", page_size=2, page_token=token)
            page = client.collections.ListSnapshots(request, timeout=WITHIN_S)
            found += [one.name for one in page.snapshots]
            token = page.next_page_token
            if not token:
                break
        assert found == ["s4", "s3", "s2", "s1", "s0"]
        # An alias stands for its collection here, too.
        alias = collection_pb2.Alias(name="live", collection="g")
        client.collections.SetAlias(collection_pb2.SetAliasRequest(alias=alias), timeout=WITHIN_S)
        listed = client.collections.ListSnapshots(
            snapshot_pb2.ListSnapshotsRequest(collection="live"), timeout=WITHIN_S
        )
        assert [one.name for one in listed.snapshots] == found
        restored = client.collections.RestoreSnapshot(
            snapshot_pb2.RestoreSnapshotRequest(collection="live", snapshot="s2", overwrite=True), timeout=WITHIN_S
        )
        assert ended(client, restored.operation).state == SUCCEEDED
    process.stop()
    process = search_process(environment={"PICOSEEK_SEARCH_SNAPSHOTS": str(blocked)})
    with process.channel() as channel:
        client = client_of(channel)
        with pytest.raises(grpc.RpcError) as error:
            names(client)
        assert reason_of(error.value)[1] == "SNAPSHOT_STORE_UNAVAILABLE"


@pytest.mark.slow
def test_killed_while_a_snapshot_is_made_or_restored(
    search_process: Callable[..., Any], client_of: Callable[..., Any], tmp_path: Path
) -> None:
    place = snapshot_places.folder(tmp_path / "snapshots")
    environment = {"PICOSEEK_SEARCH_SNAPSHOTS": place.location}
    process = search_process(environment=environment)
    random = np.random.default_rng(5)
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g", dimension=DIMENSION)
        for _ in range(6):
            client.upsert("g", documents(1000, 1, random.bytes(4000)))
        ended(client, create(client, "good"))
        client.upsert("g", documents(1000, 2, random.bytes(4000)))
    outcomes: set[str] = set()
    goals = [0, *(int(goal) for goal in random.integers(0, 4_000_000, 3)), 1 << 40]
    # Even ones are restores: the first is killed at once, the last when it has ended.
    for kill, goal in enumerate(goals):
        with process.channel() as channel:
            client = client_of(channel)
            before = labels(client)
            assert before in ({"1"}, {"2"})
            operation = create(client, f"k{kill}") if kill % 2 else restore(client, "good", overwrite=True)

            def is_far(client: Any = client, operation: Any = operation, goal: int = goal) -> bool:
                request = operation_pb2.GetOperationRequest(id=operation.id)
                now = client.collections.GetOperation(request, timeout=WITHIN_S).operation
                return now.done >= goal or now.HasField("ended_at")

            waiting.until(is_far, WITHIN_S, 0.001)
            process.kill()
        process.start()
        with process.channel() as channel:
            client = client_of(channel)
            after = labels(client)
            assert after == before or (kill % 2 == 0 and after == {"1"}), "a mixture"
            outcomes.add(f"{before} to {after}")
            for name in names(client):
                request = snapshot_pb2.VerifySnapshotRequest(collection="g", snapshot=name)
                verified = client.collections.VerifySnapshot(request, timeout=WITHIN_S).operation
                assert ended(client, verified).state == SUCCEEDED, name
            folders = list((tmp_path / "data" / "collections").iterdir())
            assert len(folders) == 1, "a half-restored collection was left"
            if kill == 2:
                client.upsert("g", documents(1000, 2, random.bytes(4000)))
    assert len(outcomes) > 1
