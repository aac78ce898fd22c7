"""What Prometheus hears of collections; how it comes there is tested with the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import waiting
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions, RecallOptions
from picoseek_search.collection.search import Query
from picoseek_search.segment.index_kind import ExactBelow, IndexKind
from picoseek_search.transport.collection_metrics import CollectionMetrics

WITHIN_S = 60.0
DIMENSION = 16
RECALL = "picoseek_search_recall"


def figures(catalog: Catalog, name: str) -> dict[str, float]:
    """Values of a collection by name."""
    return {
        sample.name: sample.value
        for family in CollectionMetrics(catalog, {}).collect()
        for sample in family.samples
        if sample.labels == {"collection": name}
    }


def test_measured_recall_shows_with_its_interval(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., Any],
    document_of: Callable[..., Any],
    small_options: EngineOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So few rows would be compared in full anyway.
    monkeypatch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))
    options = replace(small_options, growing_rows=64, calibration_delay_s=3600.0, recall=RecallOptions(1.0, 1000.0))
    catalog = open_catalog(options)
    asked = collection_of(dimension=DIMENSION)
    asked.index.factory = "HNSW4"
    gallery, _ = catalog.create(asked, if_not_exists=False)
    random = np.random.default_rng(0)
    documents = [document_of(f"d{row}", vector) for row, vector in enumerate(random.standard_normal((700, DIMENSION)))]
    gallery.submit(gallery.prepare_upsert(documents, "r")).result(WITHIN_S)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)

    shown = figures(catalog, "gallery")
    described = gallery.describe()
    assert shown["picoseek_search_collection_documents"] == 700
    assert shown["picoseek_search_collection_index_bytes"] == sum(part.memory_bytes for part in described.segments)
    assert shown["picoseek_search_collection_index_pending"] == described.index_pending == 0
    assert shown[f"{RECALL}_checked_queries"] == 0
    assert not shown.keys() & {f"{RECALL}_estimate", f"{RECALL}_lower", f"{RECALL}_upper"}

    def checked() -> int:
        shown = figures(catalog, "gallery")
        return int(shown[f"{RECALL}_checked_queries"] + shown[f"{RECALL}_unchecked_queries_total"])

    for count in range(1, 11):
        vectors = gallery.specification.metric.prepare(random.standard_normal((1, DIMENSION)).astype(np.float32))
        gallery.search(Query(vectors, 10, exact=False, ef=4), "", None)
        waiting.until(lambda count=count: checked() == count, within_s=WITHIN_S, every_s=0.005)
    shown = figures(catalog, "gallery")
    said = gallery.recall.window.estimate()
    assert (shown[f"{RECALL}_estimate"], shown[f"{RECALL}_lower"], shown[f"{RECALL}_upper"]) == (
        said.recall,
        said.lower,
        said.upper,
    )
    assert shown[f"{RECALL}_lower"] < shown[f"{RECALL}_estimate"] < 1
