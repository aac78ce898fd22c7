"""Live searches that are made again exactly: what is taken, when, and what is said of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import waiting
from picoseek_protos.v1 import embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions, RecallOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.recall.window import RecallWindow, wilson
from picoseek_search.segment.index_kind import ExactBelow, IndexKind

WITHIN_S = 120.0
DIMENSION = 16
EVERYTHING = RecallOptions(1.0, 1000.0)


@pytest.mark.parametrize(("share", "trials"), [(0.0, 5), (0.5, 10), (0.9, 40), (0.99, 400), (1.0, 3)])
def test_the_interval_holds_its_level(share: float, trials: int) -> None:
    lower, upper = wilson(share, trials)
    assert 0 <= lower <= share <= upper <= 1
    # The ends are those rates from which the share is as far away as 95 % allows.
    for end in (lower, upper):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959964 * (end * (1 - end) / trials) ** 0.5, rel=1e-6)


def test_old_checks_leave_the_window() -> None:
    now = [0.0]
    window = RecallWindow(lambda: now[0])
    assert window.estimate() is None
    window.add(0.0)
    now[0] = 3000.0
    for _ in range(3):
        window.add(1.0)
    assert window.estimate().recall == 0.75
    now[0] = 4000.0
    assert (window.estimate().recall, window.estimate().queries) == (1.0, 3)
    for _ in range(5000):
        window.add(0.5)
    assert (window.estimate().recall, window.estimate().queries) == (0.5, 2000)


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    # So few rows would be compared in full anyway.
    monkeypatch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))


@pytest.fixture
def gallery(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., Any],
    document_of: Callable[..., Any],
    small_options: EngineOptions,
    request: pytest.FixtureRequest,
) -> Collection:
    factory, options = request.param
    asked = collection_of(dimension=DIMENSION, metric=embedding_pb2.METRIC_L2)
    asked.index.factory = factory
    catalog = open_catalog(replace(small_options, growing_rows=64, calibration_delay_s=3600.0, recall=options))
    made, _ = catalog.create(asked, if_not_exists=False)
    vectors = np.random.default_rng(0).standard_normal((700, DIMENSION))
    documents = [
        document_of(f"d{row}", vector, labels=["red" if row % 4 else "blue"]) for row, vector in enumerate(vectors)
    ]
    made.submit(made.prepare_upsert(documents, "r")).result(WITHIN_S)
    assert made.shard.compactor.wait_idle(WITHIN_S)
    return made


def query(seed: int, **more: Any) -> Query:
    vectors = np.random.default_rng(seed).standard_normal((1, DIMENSION)).astype(np.float32)
    return Query(vectors, **({"k": 10, "exact": False, "ef": 4, "nprobe": 1} | more))


def checked(gallery: Collection) -> int:
    estimate = gallery.recall.window.estimate()
    return (0 if estimate is None else estimate.queries) + gallery.recall.window.missed


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("gallery", [("IVF4,PQ4x4", EVERYTHING), ("HNSW4", EVERYTHING)], indirect=True)
@pytest.mark.parametrize("filter_text", ["", "labels:red"])
def test_the_estimate_is_the_recall_of_the_searches_that_were_made(gallery: Collection, filter_text: str) -> None:
    shares: list[float] = []
    for seed in range(25):
        asked = query(seed, max_per_item=seed % 2, rerank=1)
        found = gallery.search(asked, filter_text, None).found
        exact = gallery.search(replace(asked, exact=True), filter_text, None).found
        shares.append(len(set(found.ids) & set(exact.ids)) / len(exact.ids))
        count = seed + 1
        waiting.until(lambda count=count: checked(gallery) == count, within_s=WITHIN_S)
    estimate = gallery.recall.window.estimate()
    if gallery.recall.window.missed == 0:
        assert estimate.queries == 25
        assert estimate.recall == pytest.approx(np.mean(shares), abs=1e-9)
    assert estimate.lower < estimate.recall <= estimate.upper
    assert np.mean(shares) < 1, "nothing was missed, so nothing was shown"


@pytest.mark.parametrize("gallery", [("Flat", EVERYTHING), ("HNSW4", RecallOptions(0.0))], indirect=True)
def test_exact_kinds_and_a_share_of_nothing_are_not_checked(gallery: Collection, workers: Workers) -> None:
    for seed in range(20):
        gallery.search(query(seed), "", None)
    # Whatever had been taken would stand before this.
    workers.watch.submit(lambda: None).result(WITHIN_S)
    assert checked(gallery) == 0


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("gallery", [("HNSW4", EVERYTHING)], indirect=True)
def test_nothing_is_checked_while_searches_are_made(gallery: Collection, workers: Workers) -> None:
    stop = threading.Event()

    def work() -> None:
        with workers.activity.busy():
            stop.wait(WITHIN_S)

    busy = threading.Thread(target=work)
    busy.start()
    try:
        begun = time.monotonic()
        for seed in range(200):
            gallery.search(query(seed), "", None)
        took = time.monotonic() - begun
        # Few wait, and no search waits for them: a check would not begin for 5 s.
        assert took < 4
        assert gallery.recall.window.estimate() is None
    finally:
        stop.set()
        busy.join(WITHIN_S)
    waiting.until(lambda: 1 <= checked(gallery) <= 4, within_s=WITHIN_S)
