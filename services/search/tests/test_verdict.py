"""Verdicts and explanations of real collections, and how their calibration is made, kept and renewed."""

from __future__ import annotations

import math
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import waiting
from picoseek_protos.v1 import document_pb2, embedding_pb2, search_pb2
from picoseek_search.collection import calibrator, left_out
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query

WITHIN_S = 120.0
DIMENSION = 64
METRICS = {
    "cosine": embedding_pb2.METRIC_COSINE,
    "inner product": embedding_pb2.METRIC_INNER_PRODUCT,
    "l2": embedding_pb2.METRIC_L2,
    "hamming": embedding_pb2.METRIC_HAMMING,
}


class Things:
    """Items at random places, and pictures of them."""

    def __init__(self, metric: str, seed: int = 0) -> None:
        self.is_binary = metric == "hamming"
        self.random = np.random.default_rng(seed)

    def item(self) -> np.ndarray:
        return self.random.standard_normal(DIMENSION)

    def picture(self, item: np.ndarray, noise: float = 0.6) -> bytes:
        vector = item + noise * self.random.standard_normal(DIMENSION)
        if self.is_binary:
            return np.packbits(vector > 0, bitorder="little").tobytes()
        return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()

    def documents(self, items: list[np.ndarray], each: int, first: int = 0) -> list[document_pb2.Document]:
        return [
            document_pb2.Document(
                id=f"d{number}-{copy}",
                item=f"i{number}",
                labels=["odd" if number % 2 else "even"],
                vector=self.picture(item),
            )
            for number, item in enumerate(items, first)
            for copy in range(each)
        ]


@pytest.fixture
def options(small_options: EngineOptions) -> EngineOptions:
    return replace(small_options, growing_rows=64, graph_rows=100, calibration_delay_s=0.05)


@pytest.fixture
def open_gallery(
    open_catalog: Callable[..., Catalog], collection_of: Callable[..., Any], options: EngineOptions
) -> Callable[..., Collection]:
    def open_one(metric: str = "cosine", factory: str = "") -> Collection:
        asked = collection_of(dimension=DIMENSION, metric=METRICS[metric])
        asked.index.factory = factory
        if metric == "hamming":
            asked.space.type = embedding_pb2.VECTOR_TYPE_BITS
        return open_catalog(options).create(asked, if_not_exists=True)[0]

    return open_one


def write(gallery: Collection, documents: list[document_pb2.Document], request: str) -> None:
    gallery.submit(gallery.prepare_upsert(documents, request)).result(WITHIN_S)


def calibrated(gallery: Collection, documents: int) -> Any:
    """Wait for the calibration at so many documents."""
    waiting.until(
        lambda: (state := gallery.calibrator.state) is not None and state.documents == documents, within_s=WITHIN_S
    )
    state = gallery.calibrator.state
    assert state is not None
    return state


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("each", [1, 3])
def test_every_metric_holds_the_stated_rate(open_gallery: Callable[..., Collection], metric: str, each: int) -> None:
    things = Things(metric)
    gallery = open_gallery(metric)
    write(gallery, things.documents([things.item() for _ in range(250)], each), "r")
    calibration = calibrated(gallery, 250 * each).calibration
    assert calibration is not None
    larger = gallery.specification.metric.larger_is_closer
    thresholds = [calibration.threshold(rate) for rate in (0.2, 0.05, 0.01, 0.001)]
    assert thresholds == sorted(thresholds, reverse=not larger)
    assert (calibration.same_item is None) == (each == 1)
    strangers = [things.picture(things.item()) for _ in range(1000)]
    best = gallery.search(_query(gallery, strangers), "", None).found.scores
    accepted = np.mean(best >= thresholds[1] if larger else best <= thresholds[1])
    # Three standard errors of 1000 strangers and of 250 items. Bits tie, and ties are refused together.
    assert (0.001 if metric == "hamming" else 0.015) < accepted < 0.095


def _query(gallery: Collection, vectors: list[bytes]) -> Query:
    metric = gallery.specification.metric
    return Query(metric.prepare(metric.decode(vectors, DIMENSION)), 1, False, 64)


def test_the_same_documents_give_the_same_calibration(open_gallery: Callable[..., Collection]) -> None:
    things = Things("cosine")
    documents = things.documents([things.item() for _ in range(60)], 3)
    gallery = open_gallery()
    write(gallery, documents, "r")
    first = calibrated(gallery, 180)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    write(gallery, documents, "again")
    waiting.until(lambda: gallery.calibrator.state.revision.sequence == 2, within_s=WITHIN_S)
    second = gallery.calibrator.state
    assert [first.calibration.threshold(rate) for rate in (0.1, 0.01, 0.001)] == pytest.approx(
        [second.calibration.threshold(rate) for rate in (0.1, 0.01, 0.001)], rel=1e-5
    )


def test_it_is_renewed_when_a_tenth_has_changed(open_gallery: Callable[..., Collection]) -> None:
    things = Things("cosine")
    gallery = open_gallery()
    write(gallery, things.documents([things.item() for _ in range(100)], 1), "r0")
    first = calibrated(gallery, 100)
    write(gallery, things.documents([things.item() for _ in range(9)], 1, first=100), "r1")
    assert gallery.calibrator.state is first
    write(gallery, things.documents([things.item()], 1, first=109), "r2")
    second = calibrated(gallery, 110)
    removed = gallery.prepare_delete([f"d{number}-0" for number in range(105)], "r3")
    gallery.submit(removed).result(WITHIN_S)
    tiny = calibrated(gallery, 5)
    assert second.calibration is not None
    assert tiny.calibration is None
    assert "5 items" in tiny.reason
    write(gallery, things.documents([things.item() for _ in range(50)], 1, first=200), "r4")
    assert calibrated(gallery, 55).calibration is not None


def test_it_is_measured_beside_searches_that_never_pause(open_gallery: Callable[..., Collection]) -> None:
    things = Things("cosine")
    gallery = open_gallery()
    items = [things.item() for _ in range(40)]
    write(gallery, things.documents(items, 2), "r")
    asked = _query(gallery, [things.picture(item) for item in items])
    over = threading.Event()

    def keep_searching() -> None:
        while not over.is_set():
            gallery.search(asked, "", None)

    with ThreadPoolExecutor(2) as callers:
        searching = [callers.submit(keep_searching) for _ in range(2)]
        try:
            assert calibrated(gallery, 80).calibration is not None
        finally:
            over.set()
        for one in searching:
            one.result(WITHIN_S)


def test_parts_that_were_replaced_are_let_go(
    open_gallery: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    things = Things("cosine")
    gallery = open_gallery()
    generations: list[int] = []
    first: list[weakref.ref[Any]] = []

    def measure(snapshot: Any, specification: Any, check: Callable[[], None]) -> Any:
        generations.append(snapshot.generation)
        if len(generations) == 1:
            first.append(weakref.ref(snapshot))
            gallery.shard.index.put([])
        else:
            assert first[0]() is None
        check()
        return left_out.measure(snapshot, specification, check)

    monkeypatch.setattr(calibrator, "measure", measure)
    write(gallery, things.documents([things.item() for _ in range(40)], 1), "r")
    assert calibrated(gallery, 40).calibration is not None
    assert generations == [0, 1]


def test_a_restart_reads_what_was_measured(
    open_catalog: Callable[..., Catalog], collection_of: Callable[..., Any], options: EngineOptions, tmp_path: Path
) -> None:
    things = Things("cosine")
    catalog = open_catalog(options)
    gallery, _ = catalog.create(collection_of(dimension=DIMENSION), if_not_exists=False)
    write(gallery, things.documents([things.item() for _ in range(50)], 1), "r")
    before = calibrated(gallery, 50)
    waiting.until(lambda: any(tmp_path.rglob("calibration")), within_s=WITHIN_S)
    catalog.close()
    never = replace(options, calibration_delay_s=3600.0)
    again = open_catalog(never)
    state = again.get("gallery").calibrator.state
    assert state is not None
    assert state.made_at_ns == before.made_at_ns
    assert state.calibration.threshold(0.01) == before.calibration.threshold(0.01)
    again.close()
    path = next(tmp_path.rglob("calibration"))
    path.write_bytes(b"damaged")
    damaged = open_catalog(options)
    assert calibrated(damaged.get("gallery"), 50).made_at_ns != before.made_at_ns
    # It is kept after it is used.
    waiting.until(lambda: path.read_bytes() != b"damaged", within_s=WITHIN_S)
    damaged.close()
    # Of documents that are not there, as after files were put back: measured anew.
    newer = tmp_path / "newer"
    shutil.copy(path, newer)
    catalog = open_catalog(options)
    catalog.delete("gallery", etag="")
    catalog.create(collection_of(dimension=DIMENSION), if_not_exists=False)
    catalog.close()
    shutil.copy(newer, next(tmp_path.rglob("documents.sqlite3")).with_name("calibration"))
    assert open_catalog(never).get("gallery").calibrator.state is None


@pytest.fixture
def served(
    search_process: Callable[..., Any], client_of: Callable[[grpc.Channel], Any]
) -> Iterator[tuple[Any, Things, list[np.ndarray]]]:
    """A service with 60 items of three references each, calibrated."""
    process = search_process(environment={"PICOSEEK_SEARCH_CALIBRATION_DELAY_S": "0.05"})
    things = Things("cosine")
    items = [things.item() for _ in range(60)]
    with process.channel() as channel:
        client = client_of(channel)
        client.create(dimension=DIMENSION)
        documents = things.documents(items, 3)
        for document in documents:
            document.provenance.source = f"{document.id}.jpg"
            document.provenance.crop_box.x2 = 10
        assert quality(client).uncalibrated_reason
        client.upsert("gallery", documents, "the-write")
        waiting.until(lambda: quality(client).HasField("calibration"), within_s=WITHIN_S)
        yield client, things, items


def quality(client: Any) -> search_pb2.GetSearchQualityResponse:
    request = search_pb2.GetSearchQualityRequest(collection="gallery")
    return client.search.GetSearchQuality(request, timeout=WITHIN_S)


def test_verdicts_and_reasons_over_the_wire(
    served: tuple[Any, Things, list[np.ndarray]], reason_of: Callable[..., Any]
) -> None:
    client, things, items = served
    calibration = quality(client).calibration
    assert (calibration.items, calibration.references, calibration.paired_items) == (60, 180, 60)
    assert [round(entry.false_accept_rate, 3) for entry in calibration.thresholds] == [0.001, 0.01, 0.05]
    assert calibration.thresholds[0].threshold > calibration.thresholds[2].threshold
    assert calibration.thresholds[2].true_accept_rate > 0.5

    between = items[3] / np.linalg.norm(items[3]) + items[8] / np.linalg.norm(items[8])
    vectors = [
        np.frombuffer(things.picture(items[5], 0.2), "<f4"),
        np.frombuffer(things.picture(things.item()), "<f4"),
        np.frombuffer(things.picture(between, 0.01), "<f4"),
    ]
    asked = {"false_accept_rate": 0.05, "explain": True}
    wide = client.find("gallery", vectors, k=100, **asked)
    kinds = [verdict.kind for verdict in wide.verdicts]
    assert kinds[:2] == [search_pb2.VERDICT_KIND_MATCH, search_pb2.VERDICT_KIND_UNKNOWN]
    assert kinds[2] != search_pb2.VERDICT_KIND_MATCH
    assert wide.verdicts[0].probability > 0.9 > 0.5 > wide.verdicts[1].probability
    assert wide.verdicts[0].threshold == pytest.approx(calibration.thresholds[2].threshold)

    # What the hits show of the second item makes no difference.
    for more in ({"k": 1}, {"k": 3}, {"k": 2, "max_per_item": 1}, {"k": 1, "score_threshold": 0.1}):
        narrow = client.find("gallery", vectors, **asked, **more)
        assert [v.margin for v in narrow.verdicts] == pytest.approx([v.margin for v in wide.verdicts], abs=1e-6)
        assert [e.runner_up_id for e in narrow.explanations] == [e.runner_up_id for e in wide.explanations]

    explanation = wide.explanations[0]
    start = wide.offsets[0]
    assert (explanation.id, explanation.item) == (wide.ids[start], "i5")
    assert explanation.provenance.source == f"{explanation.id}.jpg"
    assert explanation.provenance.crop_box.x2 == 10
    assert explanation.provenance.request_id == "the-write"
    assert explanation.provenance.HasField("added_at")
    second = next(place for place in range(start, wide.offsets[1]) if wide.items[place] != "i5")
    assert (explanation.runner_up_id, explanation.runner_up_item) == (wide.ids[second], wide.items[second])
    assert wide.verdicts[0].margin == pytest.approx(explanation.score - explanation.runner_up_score, abs=1e-6)
    assert explanation.exact
    assert sum(segment.documents for segment in explanation.segments) == 180
    assert explanation.segment in {segment.segment for segment in explanation.segments}

    only = client.find("gallery", vectors[:1], k=5, filter="item = i5", **asked)
    assert math.isinf(only.verdicts[0].margin)
    assert only.explanations[0].runner_up_id == ""
    nothing = client.find("gallery", vectors[:1], k=5, filter="item = none", **asked)
    assert nothing.verdicts[0].kind == search_pb2.VERDICT_KIND_UNKNOWN
    assert nothing.explanations[0].id == ""
    far = client.find("gallery", vectors[:1], k=5, score_threshold=0.9999, **asked)
    assert (list(far.ids), far.verdicts[0].kind) == ([], search_pb2.VERDICT_KIND_UNKNOWN)
    plain = client.find("gallery", vectors[:1], k=5)
    assert (len(plain.verdicts), len(plain.explanations)) == (0, 0)
    for rate in (0.0, 1.0, -0.5, 2.0, math.nan):
        with pytest.raises(grpc.RpcError) as refused:
            client.find("gallery", vectors[:1], k=1, false_accept_rate=rate)
        assert reason_of(refused.value)[1] == "RATE_OUT_OF_RANGE"


def test_few_items_are_uncalibrated(client: Any, document_of: Callable[..., document_pb2.Document]) -> None:
    client.create(name="few", dimension=2)
    angles = np.linspace(0, 1, 9)
    documents = [document_of(f"d{n}", [math.cos(angle), math.sin(angle)]) for n, angle in enumerate(angles)]
    client.upsert("few", documents)
    request = search_pb2.GetSearchQualityRequest(collection="few")
    waiting.until(
        lambda: "9 items" in client.search.GetSearchQuality(request, timeout=WITHIN_S).uncalibrated_reason,
        within_s=WITHIN_S,
    )
    (verdict,) = client.find("few", [[1.0, 0.0]], k=1, false_accept_rate=0.01).verdicts
    assert verdict.kind == search_pb2.VERDICT_KIND_UNCALIBRATED
    assert math.isnan(verdict.threshold)
    assert verdict.margin > 0
