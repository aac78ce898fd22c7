"""Index files: right after a round trip, refused when a bit is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from picoseek_search.segment import index_file
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions

BINARY = "BHNSW8"
KINDS = ["HNSW8", "SQ8", "HNSW8,SQ8", "IVF4,Flat", "IVF4,SQ8", "IVF4,PQ3x4", BINARY]
ROWS = 650


@dataclass(frozen=True)
class Saved:
    """A segment and where it was saved."""

    stem: Path
    segment: SealedSegment
    dimension: int
    metric: Metric


@pytest.fixture(params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path: Path, build_segment: Callable[..., SealedSegment]) -> Saved:
    factory = request.param
    metric, dimension = (Metric.HAMMING, 96) if factory == BINARY else (Metric.L2, 12)
    rows = np.random.default_rng(1).standard_normal((ROWS, 12)).astype(np.float32)
    if metric.is_binary:
        rows = np.random.default_rng(1).integers(0, 256, (ROWS, 12), np.uint8)
    stem = tmp_path / "000000000007"
    segment = build_segment(rows, factory, metric, stem)
    index_file.save(stem, segment, np.stack([np.arange(ROWS) * 3, np.arange(ROWS)], axis=1))
    return Saved(stem, segment, dimension, metric)


def load(saved: Saved) -> tuple[SealedSegment, index_file.Keys]:
    return index_file.load(saved.stem, saved.dimension, saved.metric)


def test_round_trip(saved: Saved) -> None:
    assert index_file.stems(saved.stem.parent) == [saved.stem]
    loaded, keys = load(saved)
    assert keys[:, 0].tolist() == list(range(0, 3 * ROWS, 3))
    assert loaded.index_kind == saved.segment.index_kind
    query = saved.segment.vectors(np.array([5]))
    selected = Bitmap.from_mask(np.arange(ROWS) % 3 > 0)
    for options in (SearchOptions(k=5), SearchOptions(k=5, exact=True)):
        np.testing.assert_array_equal(
            loaded.search(query, options, selected).offsets, saved.segment.search(query, options, selected).offsets
        )
    np.testing.assert_array_equal(loaded.vectors(np.arange(ROWS)), saved.segment.vectors(np.arange(ROWS)))
    index_file.remove(saved.stem)
    assert not list(saved.stem.parent.iterdir())
    assert loaded.search(query, SearchOptions(k=1, exact=True), Bitmap.full(ROWS)).offsets.tolist() == [[5]]


def test_every_flipped_bit_is_noticed(saved: Saved) -> None:
    files = sorted(saved.stem.parent.iterdir())
    assert len(files) == (3 if saved.segment.index_kind.is_compressed else 2)
    for path in files:
        content = path.read_bytes()
        for place in np.random.default_rng(2).integers(0, len(content), 40).tolist():
            damaged = bytearray(content)
            damaged[place] ^= 1 << (place % 8)
            path.write_bytes(damaged)
            with pytest.raises(index_file.IndexFileError):
                load(saved)
        for shorter in (content[:-1], content[: len(content) // 2], b""):
            path.write_bytes(shorter)
            with pytest.raises(index_file.IndexFileError):
                load(saved)
        path.write_bytes(content)
    load(saved)


def test_files_of_another_collection_are_refused(saved: Saved) -> None:
    with pytest.raises(index_file.IndexFileError, match="another collection"):
        index_file.load(saved.stem, saved.dimension * 2, saved.metric)
    other = Metric.COSINE if saved.metric is not Metric.COSINE else Metric.L2
    with pytest.raises(index_file.IndexFileError, match="another collection"):
        index_file.load(saved.stem, saved.dimension, other)


def test_an_unfinished_file_is_not_seen(saved: Saved) -> None:
    saved.stem.with_suffix(".keys").unlink()
    assert index_file.stems(saved.stem.parent) == []
