"""Segments and what they are made of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek_search.segment import sealed as sealed_module
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.growing import GrowingSegment
from picoseek_search.segment.hits import NO_ROW, Hits, merge
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions

HNSW = IndexKind(16)
FLAT = IndexKind(None)


def vectors_of(rows: int, dimension: int = 24, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def brute_force(queries: np.ndarray, rows: np.ndarray, k: int, metric: Metric, mask: np.ndarray) -> np.ndarray:
    """Scores of the k nearest rows under the mask, best first."""
    if metric is Metric.L2:
        scores = ((queries[:, None, :].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    else:
        scores = -(queries.astype(np.float64) @ rows.T)
    best = np.sort(scores[:, mask], axis=1)[:, :k]
    return best if metric is Metric.L2 else -best


@lru_cache
def built(metric: Metric, kind: IndexKind) -> tuple[np.ndarray, SealedSegment]:
    rows = metric.prepare(vectors_of(4000))
    return rows, SealedSegment.build(rows, kind, metric)


@given(st.lists(st.booleans(), min_size=1, max_size=70), st.data())
def test_bitmap_is_the_set_that_its_mask_says(bits: list[bool], data: st.DataObject) -> None:
    mask = np.array(bits)
    bitmap = Bitmap.from_mask(mask)
    assert bitmap.mask().tolist() == bits
    assert bitmap.count == sum(bits)
    assert bitmap.offsets().tolist() == [place for place, bit in enumerate(bits) if bit]
    gone = data.draw(st.lists(st.integers(0, len(bits) - 1), unique=True))
    assert bitmap.without(np.array(gone, np.int64)).mask().tolist() == [
        bit and place not in gone for place, bit in enumerate(bits)
    ]
    assert bitmap.extended(len(bits) + 9).mask().tolist() == [*bits, *[True] * 9]
    assert bitmap.mask().tolist() == bits, "the bitmap itself has changed"


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", [FLAT, HNSW], ids=["flat", "graph"])
@pytest.mark.parametrize("live_share", [1.0, 0.5, 0.02, 0.0])
def test_a_search_finds_exactly_min_of_k_and_live(metric: Metric, kind: IndexKind, live_share: float) -> None:
    rows, segment = built(metric, kind)
    queries = metric.prepare(vectors_of(5, seed=2))
    mask = np.random.default_rng(3).random(len(rows)) < live_share
    for k in (1, 10, 700):
        hits = segment.search(queries, SearchOptions(k=k, ef=16), Bitmap.from_mask(mask))
        for offsets in hits.offsets:
            found = offsets[offsets != NO_ROW]
            assert len(found) == min(k, mask.sum())
            assert len(set(found.tolist())) == len(found)
            assert mask[found].all()
        exact = segment.search(queries, SearchOptions(k=k, exact=True), Bitmap.from_mask(mask))
        expected = brute_force(queries, rows, k, metric, mask)
        np.testing.assert_allclose(exact.scores[:, : expected.shape[1]], expected, rtol=1e-4, atol=1e-4)


def test_a_starved_graph_search_is_completed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_module, "EXACT_BELOW_ROWS", 0)
    monkeypatch.setattr(sealed_module, "EXACT_BELOW_SHARE", 0.0)
    rows = vectors_of(5000)
    # All that is live is far away from the query, behind rows that are not.
    rows[:100] += 50.0
    mask = np.arange(len(rows)) < 100
    segment = SealedSegment.build(rows, IndexKind(4, 8), Metric.L2)
    query = np.zeros((1, rows.shape[1]), np.float32)
    hits = segment.search(query, SearchOptions(k=10, ef=10), Bitmap.from_mask(mask))
    np.testing.assert_allclose(hits.scores, brute_force(query, rows, 10, Metric.L2, mask), rtol=1e-4)


def test_graph_recall_with_and_without_a_filter() -> None:
    centres = vectors_of(50, 32, seed=4)
    labels = np.random.default_rng(5).integers(0, 50, 12_000)
    rows = Metric.COSINE.prepare(centres[labels] + 0.6 * vectors_of(12_000, 32, seed=6))
    queries = Metric.COSINE.prepare(centres[labels[:100]] + 0.6 * vectors_of(100, 32, seed=7))
    segment = SealedSegment.build(rows, HNSW, Metric.COSINE)
    for share in (1.0, 0.5, 0.2, 0.1):
        selected = Bitmap.from_mask(np.random.default_rng(8).random(len(rows)) < share)
        found = segment.search(queries, SearchOptions(k=10, ef=64), selected).offsets
        exact = segment.search(queries, SearchOptions(k=10, exact=True), selected).offsets
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
        assert recall >= 0.95, share


@pytest.mark.parametrize("metric", list(Metric))
def test_growing_segment_shows_published_rows_only(metric: Metric) -> None:
    rows = metric.prepare(vectors_of(64))
    growing = GrowingSegment(rows.shape[1], 64, metric)
    growing.append(rows[:40])
    growing.append(rows[40:])
    queries = metric.prepare(vectors_of(3, seed=9))
    mask = np.ones(40, np.bool_)
    mask[::3] = False
    hits = growing.search(queries, SearchOptions(k=50), Bitmap.from_mask(mask))
    assert hits.offsets.shape == (3, mask.sum())
    np.testing.assert_allclose(hits.scores, brute_force(queries, rows[:40], 50, metric, mask), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(growing.vectors(Bitmap.from_mask(mask)), rows[:40][mask])


def test_cosine_survives_very_short_and_very_long_vectors() -> None:
    rows = np.array([[3e-30, 4e-30], [3e17, 4e17]], np.float32)
    np.testing.assert_allclose(Metric.COSINE.prepare(rows), [[0.6, 0.8], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("larger_is_closer", [True, False])
def test_merge_keeps_the_nearest_of_all(larger_is_closer: bool) -> None:
    sign = -1 if larger_is_closer else 1
    first = Hits(sign * np.array([[1.0, 4.0, 9.0]], np.float32), np.array([[7, 8, NO_ROW]]))
    second = Hits(sign * np.array([[2.0, 3.0]], np.float32), np.array([[5, 6]]))
    merged = merge([first, second], 4, queries=1, larger_is_closer=larger_is_closer)
    assert merged.offsets.tolist() == [[7, 5, 6, 8]]
    assert merged.sources.tolist() == [[0, 1, 1, 0]]
    assert merge([], 4, queries=2, larger_is_closer=True).offsets.shape == (2, 0)


@pytest.mark.parametrize("factory", ["", "IVF16,Flat", "HNSW", "HNSW3", "HNSW65", "HNSW32,Flat", "flat", "HNSW٣٢"])
def test_other_factory_strings_are_refused_with_those_served(factory: str) -> None:
    with pytest.raises(ValueError, match='"Flat" or "HNSW<M>"'):
        IndexKind.parse(factory, 80)
