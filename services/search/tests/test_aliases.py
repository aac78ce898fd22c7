"""Aliases: second names that are moved atomically."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
import waiting
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc
from picoseek_protos.v1 import collection_pb2, document_pb2, search_pb2

WITHIN_S = 120.0
Make = Callable[..., document_pb2.Document]


def set_alias(client, name: str, collection: str, expected: str = "") -> collection_pb2.SetAliasResponse:
    alias = collection_pb2.Alias(name=name, collection=collection)
    request = collection_pb2.SetAliasRequest(alias=alias, expected_collection=expected)
    return client.collections.SetAlias(request, timeout=WITHIN_S)


def delete_alias(client, name: str) -> None:
    client.collections.DeleteAlias(collection_pb2.DeleteAliasRequest(name=name), timeout=WITHIN_S)


def delete_collection(client, name: str, **more: object) -> None:
    client.collections.DeleteCollection(collection_pb2.DeleteCollectionRequest(name=name, **more), timeout=WITHIN_S)


def aliases(client, page_size: int = 0) -> list[tuple[str, str]]:
    found, token = [], ""
    while True:
        request = collection_pb2.ListAliasesRequest(page_size=page_size, page_token=token)
        page = client.collections.ListAliases(request, timeout=WITHIN_S)
        assert not page_size or len(page.aliases) <= page_size
        found += [(alias.name, alias.collection) for alias in page.aliases]
        token = page.next_page_token
        if not token:
            return found


def fill(client, document_of: Make, name: str, count: int) -> None:
    client.create(name=name)
    client.upsert(name, [document_of(f"{name}-{number}", np.eye(8)[number % 8] + number) for number in range(count)])


@pytest.fixture
def blue_green(client, document_of: Make, request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Two filled collections of 12 documents and an alias of the first one."""
    tail = f"{abs(hash(request.node.name)) % 10**8}"
    blue, green, alias = f"blue-{tail}", f"green-{tail}", f"alias-{tail}"
    fill(client, document_of, blue, 12)
    fill(client, document_of, green, 12)
    set_alias(client, alias, blue)
    return blue, green, alias


def test_every_call_takes_an_alias(client, blue_green: tuple[str, str, str], document_of: Make, space: str) -> None:
    blue, _, alias = blue_green
    assert client.collections.GetCollection(collection_pb2.GetCollectionRequest(name=alias)).collection.name == blue
    assert client.find(alias, [np.ones(8)], 3).ids[0].startswith(f"{blue}-")
    assert client.upsert(alias, [document_of("new", np.ones(8))]).inserted == 1
    got = client.search.Get(search_pb2.GetRequest(collection=alias, ids=["new"]), timeout=WITHIN_S)
    assert [document.id for document in got.documents] == ["new"]
    assert client.search.Count(search_pb2.CountRequest(collection=alias), timeout=WITHIN_S).documents == 13
    listed = client.search.List(search_pb2.ListRequest(collection=alias, page_size=1000), timeout=WITHIN_S)
    assert len(listed.documents) == 13
    assert client.search.Delete(search_pb2.DeleteRequest(collection=alias, ids=["new"]), timeout=WITHIN_S).deleted == 1
    request = search_pb2.SearchRequest(
        collection=alias, space=space, vectors=np.ones(8, "<f4").tobytes(), queries=1, k=2
    )
    (answer,) = client.search.StreamSearch(
        iter([search_pb2.StreamSearchRequest(call_id=1, request=request)]), timeout=WITHIN_S
    )
    assert [id_.startswith(f"{blue}-") for id_ in answer.response.ids] == [True, True]


def test_an_alias_moves_only_from_where_it_is_thought_to_be(
    client, blue_green: tuple[str, str, str], reason_of
) -> None:
    blue, green, alias = blue_green
    with pytest.raises(grpc.RpcError) as error:
        set_alias(client, alias, green, expected=green)
    assert reason_of(error.value)[:2] == (grpc.StatusCode.ABORTED, "ALIAS_MISMATCH")
    with pytest.raises(grpc.RpcError) as error:
        set_alias(client, f"{alias}-2", green, expected=blue)
    assert reason_of(error.value)[:2] == (grpc.StatusCode.ABORTED, "ALIAS_MISMATCH")
    assert (alias, blue) in aliases(client)
    moved = set_alias(client, alias, green, expected=blue)
    assert (moved.alias.collection, moved.previous_collection) == (green, blue)
    assert client.find(alias, [np.ones(8)], 1).ids[0].startswith(f"{green}-")


def test_names_are_one_name_space(client, blue_green: tuple[str, str, str], reason_of) -> None:
    blue, green, alias = blue_green
    refused = [
        (lambda: set_alias(client, green, blue), grpc.StatusCode.ALREADY_EXISTS, "COLLECTION_EXISTS"),
        (lambda: client.create(name=alias), grpc.StatusCode.ALREADY_EXISTS, "ALIAS_EXISTS"),
        (lambda: set_alias(client, f"{alias}-2", alias), grpc.StatusCode.FAILED_PRECONDITION, "NAME_IS_ALIAS"),
        (lambda: delete_collection(client, alias), grpc.StatusCode.FAILED_PRECONDITION, "NAME_IS_ALIAS"),
        (
            lambda: delete_collection(client, alias, allow_missing=True),
            grpc.StatusCode.FAILED_PRECONDITION,
            "NAME_IS_ALIAS",
        ),
        (
            lambda: client.collections.UpdateCollection(
                collection_pb2.UpdateCollectionRequest(
                    collection=collection_pb2.Collection(name=alias), update_mask=FieldMask(paths=["description"])
                ),
                timeout=WITHIN_S,
            ),
            grpc.StatusCode.FAILED_PRECONDITION,
            "NAME_IS_ALIAS",
        ),
        (lambda: delete_collection(client, blue), grpc.StatusCode.FAILED_PRECONDITION, "COLLECTION_HAS_ALIASES"),
        (lambda: set_alias(client, "nobody", "nowhere"), grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND"),
        (lambda: delete_alias(client, blue), grpc.StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND"),
        *(
            (lambda name=name: set_alias(client, name, blue), grpc.StatusCode.INVALID_ARGUMENT, "ALIAS_INVALID")
            for name in ["", "Upper", "-first", "a" * 65, "sp ace", "\u00e9"]
        ),
    ]
    before = aliases(client)
    for call, code, reason in refused:
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert reason_of(error.value)[:2] == (code, reason)
    assert aliases(client) == before
    delete_alias(client, alias)
    delete_collection(client, blue)
    with pytest.raises(grpc.RpcError) as error:
        client.find(alias, [np.ones(8)], 1)
    assert reason_of(error.value)[1] == "COLLECTION_NOT_FOUND"


def test_aliases_are_listed_in_pages(client, blue_green: tuple[str, str, str], reason_of) -> None:
    blue, _, _ = blue_green
    names = [f"paged-{number}" for number in range(7)]
    for name in names:
        set_alias(client, name, blue)
    everything = aliases(client)
    assert [name for name, _ in everything if name.startswith("paged-")] == names
    assert aliases(client, page_size=2) == everything
    with pytest.raises(grpc.RpcError) as error:
        client.collections.ListAliases(collection_pb2.ListAliasesRequest(page_token="bm8="), timeout=WITHIN_S)
    assert reason_of(error.value)[1] == "PAGE_TOKEN_INVALID"


def test_a_page_token_is_not_good_for_another_collection(client, blue_green: tuple[str, str, str], reason_of) -> None:
    _, green, alias = blue_green
    page = client.search.List(search_pb2.ListRequest(collection=alias, page_size=5), timeout=WITHIN_S)
    more = search_pb2.ListRequest(collection=alias, page_size=5, page_token=page.next_page_token)
    assert len(client.search.List(more, timeout=WITHIN_S).documents) == 5
    set_alias(client, alias, green)
    with pytest.raises(grpc.RpcError) as error:
        client.search.List(more, timeout=WITHIN_S)
    assert reason_of(error.value)[1] == "PAGE_TOKEN_INVALID"


def test_health_knows_aliases(client, shared_process, blue_green: tuple[str, str, str]) -> None:
    _, _, alias = blue_green
    with shared_process.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=alias)
        assert health.Check(request, timeout=WITHIN_S).status == health_pb2.HealthCheckResponse.SERVING
        delete_alias(client, alias)
        waiting.until(
            lambda: health.Check(request, timeout=WITHIN_S).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
            WITHIN_S,
        )


def test_nobody_notices_a_switch(client, blue_green: tuple[str, str, str], document_of: Make, space: str) -> None:
    """Searches beside switches, each of which is followed by the removal of the old collection."""
    blue, _, alias = blue_green
    stop = threading.Event()
    failures: list[str] = []
    answered = [0, 0]

    def check(response: search_pb2.SearchResponse) -> None:
        origins = {id_.rpartition("-")[0] for id_ in response.ids}
        if len(response.ids) != 12 or len(origins) != 1:
            failures.append(f"{len(response.ids)} hits of {origins}")

    request = search_pb2.SearchRequest(
        collection=alias, space=space, vectors=np.ones(8, "<f4").tobytes(), queries=1, k=100
    )
    filtered = search_pb2.SearchRequest()
    filtered.CopyFrom(request)
    filtered.filter = 'item != "nothing"'

    def search_singly() -> None:
        while not stop.is_set():
            for one in (request, filtered):
                try:
                    check(client.search.Search(one, timeout=WITHIN_S))
                    answered[0] += 1
                except grpc.RpcError as error:
                    failures.append(str(error))

    def search_in_a_stream() -> None:
        gate = threading.Semaphore(8)

        def requests() -> Iterator[search_pb2.StreamSearchRequest]:
            number = 0
            while not stop.is_set():
                assert gate.acquire(timeout=WITHIN_S)
                number += 1
                yield search_pb2.StreamSearchRequest(call_id=number, request=(request, filtered)[number % 2])

        for answer in client.search.StreamSearch(requests()):
            gate.release()
            answered[1] += 1
            if answer.HasField("error"):
                failures.append(answer.error.message)
            else:
                check(answer.response)

    threads = [threading.Thread(target=target) for target in (search_singly, search_singly, search_in_a_stream)]
    for thread in threads:
        thread.start()
    current = blue
    try:
        for turn in range(4):
            before = list(answered)
            following = f"{alias}-v{turn}"
            fill(client, document_of, following, 12)
            set_alias(client, alias, following, expected=current)
            delete_collection(client, current)
            current = following
            waiting.until(
                lambda seen=before: all(now > then for now, then in zip(answered, seen, strict=True)), WITHIN_S
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join(WITHIN_S)
    assert failures == []


@pytest.mark.slow
def test_a_switch_that_was_acknowledged_survives_any_kill(search_process, client_of, document_of: Make) -> None:
    process = search_process()
    with process.channel() as channel:
        client = client_of(channel)
        for name in ("a", "b"):
            fill(client, document_of, name, 3)
    acknowledged = ""
    for round_ in range(3):
        sent = acknowledged
        killer = threading.Timer(0.05 + 0.15 * round_, process.process.kill)
        with process.channel() as channel:
            client = client_of(channel)
            killer.start()
            for turn in range(100_000):
                sent = "ab"[turn % 2]
                try:
                    set_alias(client, "now", sent)
                except grpc.RpcError:
                    break
                acknowledged = sent
        killer.join(WITHIN_S)
        process.process.wait(WITHIN_S)
        process.start()
        with process.channel() as channel:
            client = client_of(channel)
            found = dict(aliases(client)).get("now", "")
            assert found in (acknowledged, sent)
            assert not found or client.find("now", [np.ones(8)], 3).ids[0].startswith(f"{found}-")
            acknowledged = found
    assert acknowledged
