"""Collections of every kind of index beside a dictionary: random work, random searches, damage on disk."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection, SearchAnswer
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.segment import full_vectors
from picoseek_search.segment.index_kind import ExactBelow, IndexKind

WITHIN_S = 60.0
DIMENSION = 16
KINDS = ["Flat", "SQ8", "HNSW4", "HNSW8,SQ8", "IVF,Flat", "IVF4,SQ8", "IVF4,PQ4x4", "IVF,PQ8x4", "BFlat", "BHNSW8"]
METRICS = {
    "l2": embedding_pb2.METRIC_L2,
    "inner product": embedding_pb2.METRIC_INNER_PRODUCT,
    "cosine": embedding_pb2.METRIC_COSINE,
}
# Every kind with every metric stands in test_segments.py; here each kind has one.
CASES = [(kind, "hamming") for kind in KINDS if kind.startswith("B")]
CASES += list(zip([kind for kind in KINDS if not kind.startswith("B")], [*METRICS] * 3, strict=False))


@dataclass
class Gallery:
    """A collection and what is in it."""

    catalog: Catalog
    metric: str
    documents: dict[str, tuple[np.ndarray, str]] = field(default_factory=dict)
    """Vector and label by id."""
    writes: int = 0

    @property
    def collection(self) -> Collection:
        return self.catalog.get("g")

    def put(self, numbers: list[int], random: np.random.Generator) -> None:
        """Write documents of those numbers with new vectors."""
        documents = []
        for number in numbers:
            vector, label = self.vector(random), random.choice(["red", "blue"])
            documents.append(document_pb2.Document(id=f"d{number}", vector=vector.tobytes(), labels=[label]))
            self.documents[f"d{number}"] = (vector, label)
        self._submit(self.collection.prepare_upsert(documents, f"r{self.writes}"))

    def remove(self, numbers: list[int]) -> None:
        """Remove documents."""
        for number in numbers:
            self.documents.pop(f"d{number}", None)
        self._submit(self.collection.prepare_delete([f"d{number}" for number in numbers], f"r{self.writes}"))

    def vector(self, random: np.random.Generator) -> np.ndarray:
        """Return a new vector as it is sent."""
        if self.metric == "hamming":
            return random.integers(0, 256, DIMENSION // 8, np.uint8)
        return random.standard_normal(DIMENSION).astype("<f4")

    def search(self, query: np.ndarray, k: int, label: str, *, exact: bool, **more: float) -> SearchAnswer:
        """Search the collection."""
        prepared = self.collection.specification.metric.prepare(query[None])
        look = Query(prepared, k, exact, 4, nprobe=1, rerank=2, **more)
        return self.collection.search(look, f"labels:{label}" if label else "", None)

    def scores(self, query: np.ndarray, label: str) -> dict[str, float]:
        """Return the true score of every document that qualifies."""
        return {id_: self._score(query, vector) for id_, (vector, of) in self.documents.items() if label in ("", of)}

    def _score(self, query: np.ndarray, vector: np.ndarray) -> float:
        if self.metric == "hamming":
            return float(np.bitwise_count(query ^ vector).sum())
        first, second = query.astype(np.float64), vector.astype(np.float64)
        if self.metric == "l2":
            return float(np.square(first - second).sum())
        product = float(first @ second)
        return product / float(np.linalg.norm(first) * np.linalg.norm(second)) if self.metric == "cosine" else product

    def _submit(self, write: object) -> None:
        self.writes += 1
        self.collection.submit(write).result(WITHIN_S)


@contextmanager
def gallery_of(factory: str, metric: str, workers: Workers, root: Path) -> Iterator[Gallery]:
    binary = metric == "hamming"
    space = embedding_pb2.EmbeddingSpace(
        digest="sha256:" + "0" * 64,
        dimension=DIMENSION,
        type=embedding_pb2.VECTOR_TYPE_BITS if binary else embedding_pb2.VECTOR_TYPE_FLOAT32,
    )
    index = collection_pb2.IndexConfig(factory=factory, defaults=search_pb2.SearchParams(nprobe=1))
    asked = collection_pb2.Collection(name="g", space=space, metric=METRICS.get(metric, 0), index=index)
    catalog = open_catalog(root, workers)
    gallery = Gallery(catalog, metric)
    try:
        catalog.create(asked, if_not_exists=False)
        yield gallery
    finally:
        gallery.catalog.close()


def open_catalog(root: Path, workers: Workers) -> Catalog:
    return Catalog(root, EngineOptions(growing_rows=64, graph_rows=64, merge_factor=2), workers)


def check_answer(gallery: Gallery, query: np.ndarray, k: int, label: str, *, exact: bool) -> float:
    """Check everything that always holds, and return the share of true hits among those found."""
    found = gallery.search(query, k, label, exact=exact).found
    true = gallery.scores(query, label)
    assert len(found.ids) == min(k, len(true))
    assert len(set(found.ids)) == len(found.ids)
    assert set(found.ids) <= true.keys(), "a document that is gone or does not qualify"
    np.testing.assert_allclose(found.scores, [true[id_] for id_ in found.ids], rtol=1e-4, atol=1e-5)
    sign = -1 if gallery.collection.specification.metric.larger_is_closer else 1
    best = sorted(true, key=lambda id_: sign * true[id_])[:k]
    if exact:
        # Of documents that are equally far away, any may come first.
        apart = [abs(true[mine] - true[other]) for mine, other in zip(found.ids, best, strict=True) if mine != other]
        assert max(apart, default=0.0) < 1e-5
    worst = true[best[-1]] if best else 0.0
    good = [id_ for id_ in found.ids if sign * true[id_] <= sign * worst + 1e-5]
    return len(good) / len(best) if best else 1.0


@pytest.mark.parametrize(("factory", "metric"), CASES)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1000),
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "remove", "restart"]), st.integers(1, 90)), min_size=2, max_size=5
    ),
)
def test_random_work_is_answered_as_by_plain_python(
    workers: Workers, factory: str, metric: str, seed: int, steps: list[tuple[str, int]]
) -> None:
    random = np.random.default_rng(seed)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        gallery_of(factory, metric, workers, Path(folder)) as gallery,
    ):
        # So few rows would be compared in full anyway.
        patch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))
        gallery.put(list(range(700)), random)
        assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
        assert any(segment.kind.startswith(factory[:3]) for segment in gallery.collection.describe().segments)
        for action, count in steps:
            chosen = random.choice(750, count * 4, replace=False).tolist()
            if action == "put":
                gallery.put(chosen[:count], random)
            elif action == "remove":
                gallery.remove(chosen)
            else:
                gallery.catalog.close()
                gallery.catalog = open_catalog(Path(folder), workers)
            found = [
                check_answer(gallery, gallery.vector(random), k, label, exact=False)
                for k in (1, 10, 1000)
                for label in ("", "red")
            ]
            # One cell of four, four candidates: far from all, and far from none.
            assert np.mean(found) > 0.3
            for k in (1, 10, 1000):
                assert check_answer(gallery, gallery.vector(random), k, "blue", exact=True) == 1.0


@pytest.mark.parametrize(("factory", "metric"), CASES)
def test_a_threshold_with_exact_misses_nothing(workers: Workers, tmp_path: Path, factory: str, metric: str) -> None:
    random = np.random.default_rng(5)
    with gallery_of(factory, metric, workers, tmp_path) as gallery:
        gallery.put(list(range(700)), random)
        assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
        gallery.remove(list(range(0, 700, 7)))
        for _ in range(5):
            query = gallery.vector(random)
            true = gallery.scores(query, "red")
            values = sorted(true.values())
            threshold = (values[150] + values[151]) / 2
            larger = gallery.collection.specification.metric.larger_is_closer
            within = {id_ for id_, score in true.items() if (score >= threshold if larger else score <= threshold)}
            found = gallery.search(query, 1000, "red", exact=True, score_threshold=threshold).found
            assert set(found.ids) == within


@pytest.mark.parametrize("factory", ["HNSW4", "SQ8", "IVF4,Flat", "IVF4,PQ4x4", "BHNSW8"])
def test_a_flipped_bit_in_any_file_of_an_index_never_shows(workers: Workers, tmp_path: Path, factory: str) -> None:
    random = np.random.default_rng(6)
    metric = "hamming" if factory.startswith("B") else "cosine"
    with gallery_of(factory, metric, workers, tmp_path) as gallery:
        gallery.put(list(range(700)), random)
        assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
        kinds = [segment.kind for segment in gallery.collection.describe().segments]
        suffixes = sorted({path.suffix for path in tmp_path.rglob("index/*")})
        assert suffixes == (
            [".faiss", ".keys", ".vectors"] if "SQ8" in factory or "PQ" in factory else [".faiss", ".keys"]
        )
        for suffix in suffixes:
            for _ in range(4):
                gallery.catalog.close()
                path = random.choice(sorted(tmp_path.rglob(f"index/*{suffix}")))
                content = bytearray(path.read_bytes())
                content[random.integers(len(content))] ^= 1 << int(random.integers(8))
                path.write_bytes(content)
                gallery.catalog = open_catalog(tmp_path, workers)
                for k in (1, 10):
                    check_answer(gallery, gallery.vector(random), k, "", exact=True)
                    check_answer(gallery, gallery.vector(random), k, "red", exact=False)
                assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
                assert kinds[0] in [segment.kind for segment in gallery.collection.describe().segments], "not rebuilt"


@pytest.mark.parametrize("factory", ["HNSW8,SQ8", "IVF4,PQ4x4"])
def test_a_full_disk_while_vectors_are_written_costs_time_only(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str
) -> None:
    random = np.random.default_rng(7)
    with gallery_of(factory, "l2", workers, tmp_path) as gallery:
        with monkeypatch.context() as full_disk:

            def refuse(*_: object) -> None:
                raise OSError(errno.ENOSPC, "no room")

            full_disk.setattr(full_vectors, "write", refuse)
            gallery.put(list(range(700)), random)
            assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
            assert check_answer(gallery, gallery.vector(random), 10, "", exact=False) == 1.0
            assert not list(tmp_path.rglob("index/*"))
        gallery.put([700], random)
        assert gallery.collection.shard.compactor.wait_idle(WITHIN_S)
        assert factory in [segment.kind for segment in gallery.collection.describe().segments]
        check_answer(gallery, gallery.vector(random), 10, "", exact=True)
