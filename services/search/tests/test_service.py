"""The service over gRPC, as its callers see it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import waiting
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, revision_pb2, search_pb2
from scraping import metrics_address, scrape, undocumented

WITHIN_S = 60.0
ENVIRONMENT = {"PICOSEEK_SEARCH_METRICS_ADDRESS": "127.0.0.1:0"}
Make = Callable[..., document_pb2.Document]
ReasonOf = Callable[[grpc.RpcError], tuple[grpc.StatusCode, str, float]]


def axis(number: int, length: float = 1.0) -> list[float]:
    vector = [0.0] * 8
    vector[number % 8] = length
    return vector


def test_the_whole_life_of_a_gallery(client: Any, document_of: Make, space: str) -> None:
    made = client.create(
        name="life",
        metric=embedding_pb2.METRIC_L2,
        schema=[collection_pb2.AttributeField(name="price", type=collection_pb2.ATTRIBUTE_TYPE_INT)],
    )
    assert (made.metric, made.shards, made.index.factory) == (embedding_pb2.METRIC_L2, 1, "HNSW32")
    documents = [
        document_of(
            f"d{number}",
            axis(number),
            item=f"i{number // 2}",
            labels=[f"label {number}"],
            attributes={"price": document_pb2.AttributeValue(int_value=number)},
            payload=bytes([number]),
            provenance=document_pb2.Provenance(source=f"{number}.jpg"),
        )
        for number in range(8)
    ]
    written = client.upsert("life", documents, "w1")
    assert (written.inserted, written.replaced, written.already_applied) == (8, 0, False)
    assert written.revision == revision_pb2.Revision(epoch=1, sequence=1)
    again = client.upsert("life", documents, "w1")
    assert (again.inserted, again.already_applied, again.revision) == (8, True, written.revision)
    replaced = client.upsert("life", [document_of("d7", axis(0, 3.0), item="i3", labels=["new"])])
    assert (replaced.inserted, replaced.replaced) == (0, 1)
    assert replaced.request_id

    found = client.find(
        "life", [axis(0), axis(3)], k=3, include=document_pb2.DocumentMask(labels=True), min_revision=replaced.revision
    )
    assert list(found.offsets) == [0, 3, 6]
    assert found.ids[0] == "d0"
    assert found.ids[3] == "d3"
    scores = np.frombuffer(found.scores, "<f4")
    assert scores.tolist() == [0, 2, 2, 0, 2, 2]
    assert not found.larger_is_closer
    assert [document.id for document in found.documents] == list(found.ids)
    assert found.documents[0].labels == ["label 0"]
    assert not found.documents[0].payload
    assert found.revision == replaced.revision
    assert (found.shards.asked, found.shards.answered) == (1, 1)

    near = client.find("life", [axis(0)], k=8, score_threshold=4.0, filter="attributes.price < 3 OR labels:new")
    assert list(near.ids) == ["d0", "d1", "d2", "d7"]
    grouped = client.find("life", [axis(0)], k=8, max_per_item=1)
    assert len(grouped.ids) == 4
    assert len(set(grouped.items)) == 4

    got = client.search.Get(search_pb2.GetRequest(collection="life", ids=["d1", "no", "d7"]), timeout=WITHIN_S)
    assert [document.id for document in got.documents] == ["d1", "d7"]
    assert got.missing_ids == ["no"]
    assert got.documents[0].payload == b"\1"
    assert got.documents[0].provenance.source == "1.jpg"
    assert got.documents[0].provenance.request_id == "w1"
    assert not got.documents[0].vector
    count = client.search.Count(search_pb2.CountRequest(collection="life", filter="id > d3"), timeout=WITHIN_S)
    assert (count.documents, count.items) == (4, 2)

    gone = client.search.Delete(search_pb2.DeleteRequest(collection="life", ids=["d1", "no"]), timeout=WITHIN_S)
    assert gone.deleted == 1
    gone = client.search.Delete(search_pb2.DeleteRequest(collection="life", filter="labels:label*"), timeout=WITHIN_S)
    assert gone.deleted == 6
    assert list(client.find("life", [axis(0)], k=8).ids) == ["d7"]
    described = client.collections.GetCollection(collection_pb2.GetCollectionRequest(name="life"), timeout=WITHIN_S)
    # Python alone takes more.
    assert described.process_memory_bytes > 10 << 20
    assert (described.collection.documents, described.collection.items) == (1, 1)
    assert described.collection.revision == gone.revision
    deleted = client.collections.DeleteCollection(
        collection_pb2.DeleteCollectionRequest(name="life", etag=described.collection.etag), timeout=WITHIN_S
    )
    assert deleted.deleted_documents == 1
    missing = collection_pb2.DeleteCollectionRequest(name="life", allow_missing=True)
    assert client.collections.DeleteCollection(missing, timeout=WITHIN_S).deleted_documents == 0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(embedding_pb2.METRIC_COSINE, [1.0, 0.6]), (embedding_pb2.METRIC_INNER_PRODUCT, [10.0, 6.0])],
)
def test_scores_run_as_the_contract_says(client: Any, document_of: Make, metric: int, expected: list[float]) -> None:
    name = f"metric-{metric}"
    client.create(name=name, metric=metric)
    client.upsert(name, [document_of("a", axis(0, 5.0)), document_of("b", [3.0, 4.0, *[0.0] * 6])])
    found = client.find(name, [axis(0, 2.0)], k=5)
    assert found.larger_is_closer
    np.testing.assert_allclose(np.frombuffer(found.scores, "<f4"), expected, rtol=1e-6)
    assert list(client.find(name, [axis(0, 2.0)], k=5, score_threshold=expected[0] - 0.01).ids) == ["a"]
    vector = search_pb2.GetRequest(collection=name, ids=["a"], include=document_pb2.DocumentMask(vector=True))
    assert client.search.Get(vector, timeout=WITHIN_S).documents[0].vector == document_of("a", axis(0, 5.0)).vector


def test_lists_go_page_by_page(client: Any, document_of: Make) -> None:
    client.create(name="pages")
    client.upsert("pages", [document_of(f"d{number:02d}", axis(number)) for number in range(25)])
    seen: list[str] = []
    token = ""
    for _ in range(3):
        request = search_pb2.ListRequest(collection="pages", page_size=10, page_token=token, filter="id != d07")
        page = client.search.List(request, timeout=WITHIN_S)
        seen += [document.id for document in page.documents]
        token = page.next_page_token
        # What comes and goes between pages moves nothing else.
        client.upsert("pages", [document_of("d00a", axis(1))])
    assert token == ""
    assert seen == [f"d{number:02d}" for number in range(25) if number != 7]


def test_collections_are_listed_page_by_page(client: Any) -> None:
    names = [f"listed-{number}" for number in range(5)]
    for name in names:
        client.create(name=name)
    seen: list[str] = []
    token = ""
    while True:
        request = collection_pb2.ListCollectionsRequest(page_size=2, page_token=token)
        page = client.collections.ListCollections(request, timeout=WITHIN_S)
        seen += [collection.name for collection in page.collections]
        token = page.next_page_token
        if not token:
            break
    assert [name for name in seen if name.startswith("listed-")] == names
    assert seen == sorted(seen)


def test_attributes_come_back_as_they_were(client: Any, document_of: Make) -> None:
    kinds = {
        "text": (collection_pb2.ATTRIBUTE_TYPE_STRING, document_pb2.AttributeValue(string_value="ä\0")),
        "whole": (collection_pb2.ATTRIBUTE_TYPE_INT, document_pb2.AttributeValue(int_value=-(2**63))),
        "number": (collection_pb2.ATTRIBUTE_TYPE_DOUBLE, document_pb2.AttributeValue(double_value=-0.1)),
        "truth": (collection_pb2.ATTRIBUTE_TYPE_BOOL, document_pb2.AttributeValue(bool_value=False)),
        "moment": (
            collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP,
            document_pb2.AttributeValue(timestamp_value=Timestamp(seconds=-1, nanos=9)),
        ),
        "texts": (
            collection_pb2.ATTRIBUTE_TYPE_STRING_LIST,
            document_pb2.AttributeValue(string_list=document_pb2.StringList(values=["a", ""])),
        ),
    }
    schema = [collection_pb2.AttributeField(name=name, type=kind) for name, (kind, _) in kinds.items()]
    client.create(name="typed", schema=schema)
    attributes = {name: value for name, (_, value) in kinds.items()}
    client.upsert("typed", [document_of("a", axis(0), attributes=attributes)])
    got = client.search.Get(search_pb2.GetRequest(collection="typed", ids=["a"]), timeout=WITHIN_S).documents[0]
    assert dict(got.attributes) == attributes


def test_a_revision_that_does_not_come_is_waited_for_and_refused(client: Any, reason_of: ReasonOf) -> None:
    client.create(name="future")
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        client.find("future", [axis(0)], k=1, min_revision=revision_pb2.Revision(epoch=1, sequence=1))
    assert 1.5 < time.monotonic() - begun < 30
    code, reason, delay = reason_of(caught.value)
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_NOT_REACHED")
    assert delay > 0


def test_a_revision_that_comes_while_a_search_waits_is_answered(client: Any, document_of: Make) -> None:
    client.create(name="soon")
    answers: list[search_pb2.SearchResponse] = []
    wanted = revision_pb2.Revision(epoch=1, sequence=1)
    waiter = threading.Thread(target=lambda: answers.append(client.find("soon", [axis(0)], k=1, min_revision=wanted)))
    waiter.start()
    client.upsert("soon", [document_of("a", axis(0))])
    waiter.join(WITHIN_S)
    assert list(answers[0].ids) == ["a"]


def test_health_by_service_and_collection(client: Any, shared_process: Any) -> None:
    with shared_process.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "picoseek.v1.SearchService", "picoseek.v1.CollectionService"):
            checked = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=WITHIN_S)
            assert checked.status == health_pb2.HealthCheckResponse.SERVING
        seen: list[int] = []

        def watch() -> None:
            for answer in stub.Watch(health_pb2.HealthCheckRequest(service="watched"), timeout=WITHIN_S):
                seen.append(answer.status)
                if len(seen) == 3:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        waiting.until(lambda: len(seen) == 1, WITHIN_S)
        client.create(name="watched")
        waiting.until(lambda: len(seen) == 2, WITHIN_S)
        request = collection_pb2.DeleteCollectionRequest(name="watched")
        client.collections.DeleteCollection(request, timeout=WITHIN_S)
        watcher.join(WITHIN_S)
        unknown, serving = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN, health_pb2.HealthCheckResponse.SERVING
        assert seen == [unknown, serving, unknown]


def test_prometheus_hears_of_searches_and_collections(
    client: Any, shared_process: Any, document_of: Make, space: str
) -> None:
    address = metrics_address(shared_process.log)
    client.create(name="scraped")
    client.upsert("scraped", [document_of(f"d{number}", axis(number)) for number in range(5)])
    written = client.upsert("scraped", [document_of("d0", axis(5))])
    alias = collection_pb2.Alias(name="other-name", collection="scraped")
    client.collections.SetAlias(collection_pb2.SetAliasRequest(alias=alias), timeout=WITHIN_S)
    before = scrape(address)
    client.find("scraped", [axis(0), axis(1)], k=1)
    client.find("other-name", [axis(0)], k=1)
    with pytest.raises(grpc.RpcError):
        client.find("scraped", [axis(0)], k=0)
    request = search_pb2.SearchRequest(
        collection="scraped", space=space, vectors=document_of("", axis(1)).vector, queries=1, k=2
    )
    sent = [search_pb2.StreamSearchRequest(call_id=number, request=request) for number in range(3)]
    assert len(list(client.search.StreamSearch(iter(sent), timeout=WITHIN_S))) == 3
    after = scrape(address)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("picoseek_search_queries_total", "scraped") == 2 + 1 + 3
    assert more("picoseek_search_requests_total", "OK") == 2 + 3
    assert more("picoseek_search_requests_total", "INVALID_ARGUMENT") == 1
    assert more("picoseek_search_request_duration_seconds_count") == 6
    assert more("picoseek_grpc_calls_total", "OK", "picoseek.v1.SearchService/Search") == 2
    assert more("picoseek_grpc_calls_total", "INVALID_ARGUMENT", "picoseek.v1.SearchService/Search") == 1
    shown = {key[0]: value for key, value in after.items() if key[1:] == ("scraped",)}
    assert shown["picoseek_search_collection_usable"] == 1
    assert shown["picoseek_search_collection_documents"] == 5
    revision = revision_pb2.Revision(
        epoch=int(shown["picoseek_search_collection_revision_epoch"]),
        sequence=int(shown["picoseek_search_collection_revision_sequence"]),
    )
    assert revision == written.revision
    assert shown["picoseek_search_collection_index_bytes"] > 0
    assert (shown["picoseek_search_recall_checked_queries"], "picoseek_search_recall_estimate" in shown) == (0, False)
    assert after["picoseek_search_queries_in_flight",] == 0
    assert after["picoseek_search_queries_limit",] == 4096
    assert after["picoseek_search_memory_bytes",] > 10 << 20
    assert not undocumented(after)

    client.collections.DeleteAlias(collection_pb2.DeleteAliasRequest(name="other-name"), timeout=WITHIN_S)
    client.collections.DeleteCollection(collection_pb2.DeleteCollectionRequest(name="scraped"), timeout=WITHIN_S)
    assert not [key for key in scrape(address) if "scraped" in key]


def test_reflection_names_the_services(shared_process: Any) -> None:
    with shared_process.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(stub.ServerReflectionInfo(iter([request]), timeout=WITHIN_S)))
        names = {service.name for service in answer.list_services_response.service}
        assert {"picoseek.v1.SearchService", "picoseek.v1.CollectionService", "grpc.health.v1.Health"} <= names


def test_over_the_limit_calls_are_refused_with_a_delay_and_the_others_answered(
    search_process: Callable[..., Any],
    client_of: Callable[..., Any],
    document_of: Make,
    reason_of: ReasonOf,
    space: str,
) -> None:
    process = search_process(
        environment={"PICOSEEK_SEARCH_MAX_WAITING_QUERIES": "8", "PICOSEEK_SEARCH_SEARCH_THREADS": "1"}
    )
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="busy", dimension=256)
        random = np.random.default_rng(1)
        for start in range(0, 4000, 1000):
            documents = [
                document_of(f"d{start + row}", vector) for row, vector in enumerate(random.random((1000, 256)))
            ]
            client.upsert("busy", documents)
        request = search_pb2.SearchRequest(
            collection="busy",
            space=space,
            k=10,
            queries=4,
            vectors=random.random((4, 256)).astype("<f4").tobytes(),
        )
        calls = [client.search.Search.future(request, timeout=WITHIN_S) for _ in range(200)]
        refused = [error for call in calls if (error := call.exception(WITHIN_S)) is not None]
        assert 0 < len(refused) < 200
        for error in refused:
            code, reason, delay = reason_of(error)
            assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert delay > 0


def test_sigterm_lets_writes_under_way_end(
    search_process: Callable[..., Any], client_of: Callable[..., Any], document_of: Make
) -> None:
    process = search_process()
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g")
        acknowledged: list[str] = []

        def write() -> None:
            for number in range(10_000):
                try:
                    client.upsert("g", [document_of(f"d{number}", axis(number))])
                except grpc.RpcError:
                    return
                acknowledged.append(f"d{number}")

        writer = threading.Thread(target=write)
        writer.start()
        waiting.until(lambda: len(acknowledged) > 20, WITHIN_S)
        assert process.stop() == 0
        writer.join(WITHIN_S)
    assert "unforeseen" not in process.log.read_text()
    again = search_process(data_dir=process.data_dir)
    with again.channel() as channel:
        count = client_of(channel).search.Count(search_pb2.CountRequest(collection="g"), timeout=WITHIN_S)
        assert count.documents >= len(acknowledged)


def test_the_settings_are_the_first_line_of_the_log(shared_process: Any) -> None:
    first = shared_process.log.read_text().splitlines()[0]
    assert "settings:" in first
    assert "data_dir=" in first
    assert "search_threads=" in first


def test_a_second_process_on_the_same_directory_says_why_it_does_not_start(shared_process: Any) -> None:
    command = [sys.executable, "-m", "picoseek_search", "--port", "0", "--data-dir", str(shared_process.data_dir)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert second.returncode == 1
    assert "in use by another process" in second.stderr
    assert "Traceback" not in second.stderr


def test_wrong_settings_are_all_named(tmp_path: Path) -> None:
    environment = os.environ | {"PICOSEEK_SEARCH_SEARCH_THREADS": "many", "PICOSEEK_SEARCH_MAX_K": "0"}
    command = [sys.executable, "-m", "picoseek_search", "--port", "70000", "--data-dir", str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, env=environment, check=False)
    assert process.returncode == 2
    for name in ("PICOSEEK_SEARCH_PORT", "PICOSEEK_SEARCH_SEARCH_THREADS", "PICOSEEK_SEARCH_MAX_K"):
        assert name in process.stderr
    assert "Traceback" not in process.stderr


def test_a_collection_that_cannot_be_read_is_not_healthy_and_the_others_are(
    search_process: Callable[..., Any], client_of: Callable[..., Any], document_of: Make, reason_of: ReasonOf
) -> None:
    process = search_process(environment=ENVIRONMENT)
    with process.channel() as channel:
        client = client_of(channel)
        for name in ("broken", "sound"):
            client.create(name=name)
            client.upsert(name, [document_of("a", axis(0))])
    assert process.stop() == 0
    collections = process.data_dir / "collections"
    broken = min(collections.iterdir(), key=lambda path: path.stat().st_ctime_ns) / "documents.sqlite3"
    broken.write_bytes(b"\0" * broken.stat().st_size)
    process.start()
    with process.channel() as channel:
        client, health = client_of(channel), health_pb2_grpc.HealthStub(channel)
        healthy: dict[str, bool] = {}
        for name in ("broken", "sound"):
            checked = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=WITHIN_S)
            healthy[name] = checked.status == health_pb2.HealthCheckResponse.SERVING
        assert sorted(healthy.values()) == [False, True]
        unreadable = next(name for name, good in healthy.items() if not good)
        with pytest.raises(grpc.RpcError) as caught:
            client.find(unreadable, [axis(0)], k=1)
        assert reason_of(caught.value)[:2] == (grpc.StatusCode.DATA_LOSS, "STORAGE_CORRUPT")
        assert list(client.find(next(name for name in healthy if healthy[name]), [axis(0)], k=1).ids) == ["a"]
        listed = client.collections.ListCollections(collection_pb2.ListCollectionsRequest(), timeout=WITHIN_S)
        assert [collection.name for collection in listed.collections] == ["broken", "sound"]
        for collection in listed.collections:
            assert collection.space.dimension == len(axis(0)) and collection.index.factory
            assert ("is damaged" in collection.problem) == (collection.name == unreadable)
    samples = scrape(metrics_address(process.log))
    assert {name: samples["picoseek_search_collection_usable", name] == 1 for name in healthy} == healthy


def test_callers_that_go_away_leave_nothing_behind(
    search_process: Callable[..., Any],
    client_of: Callable[..., Any],
    document_of: Make,
    reason_of: ReasonOf,
    space: str,
) -> None:
    process = search_process(environment={"PICOSEEK_SEARCH_MAX_WAITING_QUERIES": "64"})
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g")
        vector = document_of("a", axis(0)).vector
        search = search_pb2.SearchRequest(collection="g", space=space, vectors=vector, queries=1, k=1)
        calls = []
        for number in range(300):
            document = document_of(f"d{number}", axis(number))
            upsert = search_pb2.UpsertRequest(collection="g", space=space, documents=[document])
            calls.append(client.search.Upsert.future(upsert, timeout=0.02))
            calls.append(client.search.Search.future(search, timeout=0.02))
            if number % 3 == 0:
                calls[-1].cancel()
                calls[-2].cancel()
        for call in calls:
            waiting.until(call.done, WITHIN_S)
        # Units of work that nobody waits for any more are given back.
        waiting.until(
            lambda: _answered(
                client,
                search_pb2.SearchRequest(collection="g", space=space, vectors=vector * 64, queries=64, k=1),
                reason_of,
            ),
            WITHIN_S,
        )
        count = client.search.Count(search_pb2.CountRequest(collection="g"), timeout=WITHIN_S)
        finished = sum(1 for call in calls[::2] if not call.cancelled() and call.exception() is None)
        assert finished <= count.documents <= 300
    assert process.stop() == 0
    log = process.log.read_text()
    assert "Traceback" not in log
    assert "never retrieved" not in log


def _answered(client: Any, request: search_pb2.SearchRequest, reason_of: ReasonOf) -> bool:
    error = client.search.Search.future(request, timeout=WITHIN_S).exception()
    if error is None:
        return True
    assert reason_of(error)[1] == "OVERLOADED"
    return False
