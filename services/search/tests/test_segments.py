"""Segments and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.growing import GrowingSegment
from picoseek_search.segment.hits import NO_ROW, Hits, merge
from picoseek_search.segment.index_kind import ExactBelow, IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.scan import nearest
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions

FLOATS = ["Flat", "HNSW16", "SQ8", "HNSW16,SQ8", "IVF40,Flat", "IVF40,SQ8", "IVF40,PQ8x4", "IVF,PQ12x4"]
BITS = ["BFlat", "BHNSW16"]
KINDS = [(metric, kind) for metric in Metric for kind in (BITS if metric.is_binary else FLOATS)]
Build = Callable[..., SealedSegment]


def vectors_of(rows: int, dimension: int = 24, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def prepared(metric: Metric, rows: int, seed: int, dimension: int = 24) -> np.ndarray:
    vectors = vectors_of(rows, dimension, seed)
    return np.packbits(vectors > 0, axis=1) if metric.is_binary else metric.prepare(vectors)


def clustered(metric: Metric, rows: int, seed: int) -> np.ndarray:
    centres = vectors_of(50, 32, seed=4)[np.random.default_rng(seed).integers(0, 50, rows)]
    vectors = centres + 0.6 * vectors_of(rows, 32, seed)
    return np.packbits(vectors > 0, axis=1) if metric.is_binary else metric.prepare(vectors)


def brute_force(queries: np.ndarray, rows: np.ndarray, k: int, metric: Metric, mask: np.ndarray) -> np.ndarray:
    """Scores of the k nearest rows under the mask, best first."""
    if metric.is_binary:
        scores = np.bitwise_count(queries[:, None, :] ^ rows[None]).sum(axis=2, dtype=np.int64).astype(np.float64)
    elif metric is Metric.L2:
        scores = ((queries[:, None, :].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    else:
        scores = -(queries.astype(np.float64) @ rows.T)
    best = np.sort(scores[:, mask], axis=1)[:, :k]
    return -best if metric.larger_is_closer else best


@pytest.fixture(scope="session")
def built(build_segment: Build) -> Callable[[Metric, str], tuple[np.ndarray, SealedSegment]]:
    """4,000 rows of 24 components and a segment over them."""

    @lru_cache
    def build(metric: Metric, factory: str) -> tuple[np.ndarray, SealedSegment]:
        rows = prepared(metric, 4000, seed=1)
        return rows, build_segment(rows, factory, metric)

    return build


@pytest.fixture
def index_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes are used however few rows are selected."""
    monkeypatch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))


@settings(deadline=None)
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


@pytest.mark.parametrize(("metric", "factory"), KINDS)
@pytest.mark.parametrize("live_share", [1.0, 0.5, 0.02, 0.0])
@pytest.mark.parametrize("always", [False, True], ids=["as usual", "index always"])
def test_a_search_finds_exactly_min_of_k_and_live(
    built: Callable[[Metric, str], tuple[np.ndarray, SealedSegment]],
    request: pytest.FixtureRequest,
    metric: Metric,
    factory: str,
    live_share: float,
    always: bool,
) -> None:
    if always:
        request.getfixturevalue("index_always")
    rows, segment = built(metric, factory)
    queries = prepared(metric, 5, seed=2)
    mask = np.random.default_rng(3).random(len(rows)) < live_share
    for k in (1, 10, 700):
        options = SearchOptions(k=k, ef=16, nprobe=1, rerank=1)
        hits = segment.search(queries, options, Bitmap.from_mask(mask))
        for query, offsets, scores in zip(queries, hits.offsets, hits.scores, strict=True):
            found = offsets[offsets != NO_ROW]
            assert len(found) == min(k, mask.sum())
            assert len(set(found.tolist())) == len(found)
            assert mask[found].all()
            # Whatever was missed, what is there has its true score, and the nearest comes first.
            true = [brute_force(query[None], rows[[row]], 1, metric, np.ones(1, np.bool_))[0, 0] for row in found[:5]]
            np.testing.assert_allclose(scores[: len(true)], true, rtol=1e-4, atol=1e-4)
            ordered = np.sort(scores[: len(found)])
            np.testing.assert_array_equal(scores[: len(found)], ordered[::-1] if metric.larger_is_closer else ordered)
        exact = segment.search(queries, SearchOptions(k=k, exact=True), Bitmap.from_mask(mask))
        expected = brute_force(queries, rows, k, metric, mask)
        np.testing.assert_allclose(exact.scores[:, : expected.shape[1]], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("metric", "factory"), KINDS)
def test_a_range_search_that_is_exact_misses_nothing(
    built: Callable[[Metric, str], tuple[np.ndarray, SealedSegment]], metric: Metric, factory: str
) -> None:
    rows, segment = built(metric, factory)
    queries = prepared(metric, 3, seed=12)
    mask = np.random.default_rng(13).random(len(rows)) < 0.6
    hits = segment.search(queries, SearchOptions(k=1000, exact=True), Bitmap.from_mask(mask))
    expected = brute_force(queries, rows, len(rows), metric, mask)
    for scores, true in zip(hits.scores, expected, strict=True):
        # Between two neighbours' scores, so that rounding decides nothing.
        gap = next(place for place in range(600, 990) if abs(true[place] - true[place + 1]) > 1e-4)
        threshold = (true[gap] + true[gap + 1]) / 2
        within = (scores >= threshold) if metric.larger_is_closer else (scores <= threshold)
        assert within.sum() == gap + 1


@pytest.mark.usefixtures("index_always")
def test_a_starved_graph_search_is_completed_exactly(build_segment: Build) -> None:
    rows = vectors_of(5000)
    # All that is live is far away from the query, behind rows that are not.
    rows[:100] += 50.0
    mask = np.arange(len(rows)) < 100
    segment = build_segment(rows, "HNSW4", Metric.L2, ef_construction=8)
    query = np.zeros((1, rows.shape[1]), np.float32)
    hits = segment.search(query, SearchOptions(k=10, ef=10), Bitmap.from_mask(mask))
    np.testing.assert_allclose(hits.scores, brute_force(query, rows, 10, Metric.L2, mask), rtol=1e-4)


@pytest.mark.usefixtures("index_always")
@pytest.mark.parametrize("factory", ["IVF40,Flat", "IVF40,SQ8", "IVF40,PQ8x4"])
def test_visited_cells_without_live_rows_are_made_up_for(build_segment: Build, factory: str) -> None:
    rows = vectors_of(4000)
    rows[:100] += 50.0
    mask = np.arange(len(rows)) < 100
    query = np.zeros((1, rows.shape[1]), np.float32)
    hits = build_segment(rows, factory, Metric.L2).search(query, SearchOptions(k=10, nprobe=1), Bitmap.from_mask(mask))
    np.testing.assert_allclose(hits.scores, brute_force(query, rows, 10, Metric.L2, mask), rtol=1e-4)


@pytest.mark.parametrize(
    ("metric", "factory"),
    [
        (Metric.COSINE, "HNSW16"),
        (Metric.COSINE, "SQ8"),
        (Metric.L2, "HNSW16,SQ8"),
        (Metric.COSINE, "IVF,Flat"),
        (Metric.L2, "IVF,SQ8"),
        (Metric.COSINE, "IVF,PQ16x4"),
        (Metric.L2, "IVF,PQ16x4"),
        (Metric.HAMMING, "BHNSW16"),
    ],
)
def test_recall_with_and_without_a_filter(build_segment: Build, metric: Metric, factory: str) -> None:
    rows, queries = clustered(metric, 12_000, seed=6), clustered(metric, 100, seed=7)
    segment = build_segment(rows, factory, metric)
    for share in (1.0, 0.5, 0.2, 0.1):
        selected = Bitmap.from_mask(np.random.default_rng(8).random(len(rows)) < share)
        found = segment.search(queries, SearchOptions(k=10), selected).scores
        worst = segment.search(queries, SearchOptions(k=10, exact=True), selected).scores[:, -1:]
        # Rows as close as the tenth one are as good: of bits there are many.
        good = found >= worst - 1e-5 if metric.larger_is_closer else found <= worst + 1e-5
        assert good.mean() >= 0.93, share


def test_a_farther_look_finds_more(build_segment: Build) -> None:
    rows, queries = clustered(Metric.L2, 12_000, seed=6), clustered(Metric.L2, 100, seed=7)
    segment = build_segment(rows, "IVF200,PQ4x4", Metric.L2)
    everything = Bitmap.full(len(rows))
    exact = segment.search(queries, SearchOptions(k=10, exact=True), everything).offsets

    def recall(**more: int) -> float:
        found = segment.search(queries, SearchOptions(k=10, **more), everything).offsets
        return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]))

    assert recall(nprobe=1, rerank=1) < recall(nprobe=50, rerank=1) < recall(nprobe=50, rerank=50)
    assert recall(nprobe=200, rerank=1000) == 1.0


@pytest.mark.parametrize("metric", list(Metric))
def test_growing_segment_shows_published_rows_only(metric: Metric) -> None:
    rows = prepared(metric, 64, seed=1)
    growing = GrowingSegment(24, 64, metric)
    growing.append(rows[:40])
    growing.append(rows[40:])
    queries = prepared(metric, 3, seed=9)
    mask = np.ones(40, np.bool_)
    mask[::3] = False
    hits = growing.search(queries, SearchOptions(k=50), Bitmap.from_mask(mask))
    assert hits.offsets.shape == (3, mask.sum())
    np.testing.assert_allclose(hits.scores, brute_force(queries, rows[:40], 50, metric, mask), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(growing.vectors(np.flatnonzero(mask)), rows[:40][mask])


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


@pytest.mark.parametrize("metric", [Metric.INNER_PRODUCT, Metric.COSINE])
@given(seed=st.integers(0, 2**31), k=st.sampled_from([1, 5, 10]))
@settings(max_examples=15, deadline=None)
def test_a_scan_for_many_finds_for_each_what_it_finds_alone(metric: Metric, seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    few = metric.prepare(random.standard_normal((40, 512)).astype(np.float32))
    # Most rows are there several times, at places that blocks of matrices treat differently.
    rows = np.ascontiguousarray(few[random.integers(0, 40, 203)])
    selected = Bitmap.from_mask(random.random(len(rows)) < 0.8)
    queries = metric.prepare((few[:16] + 0.1 * random.standard_normal((16, 512))).astype(np.float32))
    together = nearest(queries, rows, k, metric, selected)
    for place in range(len(queries)):
        alone = nearest(queries[place : place + 1], rows, k, metric, selected)
        np.testing.assert_array_equal(together.offsets[place], alone.offsets[0])
        np.testing.assert_array_equal(together.scores[place], alone.scores[0])
