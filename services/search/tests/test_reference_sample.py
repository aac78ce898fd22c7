"""Which references of a gallery are measured."""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection import reference_sample
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.workers import Workers

WITHIN_S = 60.0


def rank(name: str) -> tuple[int, str]:
    """Order of names."""
    return zlib.crc32(name.encode()), name


def expected(items: dict[str, str], most: int) -> list[tuple[str, int, list[str]]]:
    """Return items, how many references they have, and the ids of those that are taken; `items` by id."""
    counts = Counter(items.values())
    chosen = heapq.nsmallest(most, counts, key=rank)
    median = sorted(counts.values())[len(counts) // 2]
    each = max(1, min(most // len(chosen), 4 * median))
    return [
        (item, counts[item], heapq.nsmallest(each, (id_ for id_, own in items.items() if own == item), key=rank))
        for item in chosen
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    writes=st.lists(
        st.dictionaries(
            st.integers(0, 40).map("d{}".format), st.integers(0, 6).map("i{}".format) | st.just(""), min_size=1
        ),
        min_size=1,
        max_size=4,
    ),
    most=st.integers(1, 30),
)
def test_the_same_references_are_taken_wherever_they_lie(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    workers: Workers,
    writes: list[dict[str, str]],
    most: int,
) -> None:
    monkeypatch.setattr(reference_sample, "MOST_REFERENCES", most)
    folder: Path = tmp_path_factory.mktemp("gallery")
    catalog = Catalog(folder, EngineOptions(growing_rows=8, idle_s=0.01, calibration_delay_s=60.0), workers)
    try:
        space = embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=2)
        catalog.create(collection_pb2.Collection(name="g", space=space), if_not_exists=False)
        collection = catalog.get("g")
        items: dict[str, str] = {}
        for number, entries in enumerate(writes):
            documents = [
                document_pb2.Document(id=id_, item=item, vector=np.ones(2, "<f4").tobytes())
                for id_, item in entries.items()
            ]
            collection.submit(collection.prepare_upsert(documents, f"r{number}")).result(WITHIN_S)
            items |= {id_: item or id_ for id_, item in entries.items()}
        snapshot = collection.shard.snapshot
        found = reference_sample.sample(snapshot, collection.specification, lambda: None)
        ids = [
            [snapshot.views[place.view].part.ids.take(np.array([place.row]))[0] for place in one.places]
            for one in found
        ]
        assert [(one.item, one.references, some) for one, some in zip(found, ids, strict=True)] == expected(items, most)
    finally:
        catalog.close()
