"""A bound on the hits of one item, on every kind of index, beside plain Python."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.segment.index_kind import ExactBelow, IndexKind

WITHIN_S = 120.0
DIMENSION = 16
ROWS = 700
KINDS = ["Flat", "SQ8", "HNSW4", "HNSW8,SQ8", "IVF4,Flat", "IVF4,SQ8", "IVF4,PQ4x4", "BFlat", "BHNSW8"]


@pytest.mark.parametrize("factory", KINDS)
def test_exactly_as_many_hits_as_qualify(workers: Workers, factory: str) -> None:
    binary = factory.startswith("B")
    kind = embedding_pb2.VECTOR_TYPE_BITS if binary else embedding_pb2.VECTOR_TYPE_FLOAT32
    space = embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=DIMENSION, type=kind)
    asked = collection_pb2.Collection(
        name="g",
        space=space,
        metric=embedding_pb2.METRIC_HAMMING if binary else embedding_pb2.METRIC_L2,
        index=collection_pb2.IndexConfig(factory=factory),
    )
    random = np.random.default_rng(3)
    # Whole numbers are compared without rounding. One item has nearly a third of all rows, and the nearest ones.
    vectors = random.integers(0, 256, (ROWS, 2), np.uint8) if binary else random.integers(-9, 9, (ROWS, DIMENSION))
    items = np.where(random.random(ROWS) < 0.3, 0, random.integers(1, 120, ROWS))
    labels = random.choice(["red", "blue"], ROWS)
    documents = [
        document_pb2.Document(
            id=f"d{row}",
            item=f"i{items[row]}",
            labels=[labels[row]],
            vector=vectors[row].astype(np.uint8 if binary else "<f4").tobytes(),
        )
        for row in range(ROWS)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # So few rows would be compared in full anyway.
        patch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))
        catalog = Catalog(Path(folder), EngineOptions(growing_rows=64, graph_rows=64, merge_factor=2), workers)
        try:
            collection, _ = catalog.create(asked, if_not_exists=False)
            collection.submit(collection.prepare_upsert(documents, "all")).result(WITHIN_S)
            assert collection.shard.compactor.wait_idle(WITHIN_S)
            gone = random.choice(ROWS, 200, replace=False).tolist()
            collection.submit(collection.prepare_delete([f"d{row}" for row in gone], "some")).result(WITHIN_S)
            live = np.setdiff1d(np.arange(ROWS), gone)

            @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            @given(
                row=st.integers(0, ROWS - 1),
                k=st.sampled_from([1, 3, 10, 200, 1000]),
                bound=st.integers(1, 4),
                label=st.sampled_from(["", "red", "blue"]),
                exact=st.booleans(),
            )
            def check(row: int, k: int, bound: int, label: str, exact: bool) -> None:
                query = vectors[row : row + 1].astype(np.uint8 if binary else np.float32)
                found = collection.search(
                    Query(query, k, exact, 4, max_per_item=bound, nprobe=1), f"labels:{label}" if label else "", None
                ).found
                rows = [place for place in live.tolist() if label in ("", labels[place])]
                sizes = Counter(items[rows].tolist())
                taken = Counter(found.items)
                assert len(found.ids) == min(k, sum(min(size, bound) for size in sizes.values()))
                assert len(set(found.ids)) == len(found.ids)
                assert {int(id_[1:]) for id_ in found.ids} <= set(rows)
                assert found.items == [f"i{items[int(id_[1:])]}" for id_ in found.ids]
                assert max(taken.values()) <= bound
                if exact:
                    assert found.scores.tolist() == expected(query[0], rows, k, bound)

            def expected(query: np.ndarray, rows: list[int], k: int, bound: int) -> list[float]:
                some = vectors[rows]
                scores = (
                    np.bitwise_count(some ^ query).sum(axis=1)
                    if binary
                    else np.square(some - query.astype(int)).sum(axis=1)
                )
                taken: Counter[int] = Counter()
                best: list[float] = []
                for score, item in sorted(zip(scores.tolist(), items[rows].tolist(), strict=True)):
                    taken[item] += 1
                    if taken[item] <= bound:
                        best.append(float(score))
                return best[:k]

            check()
        finally:
            catalog.close()
