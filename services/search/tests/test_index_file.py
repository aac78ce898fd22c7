"""Index files: right after a round trip, refused when a bit is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picoseek_search.segment import index_file
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions

KIND = IndexKind(8)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, SealedSegment]:
    rows = np.random.default_rng(1).standard_normal((300, 12)).astype(np.float32)
    segment = SealedSegment.build(rows, KIND, Metric.L2)
    keys = np.stack([np.arange(300) * 3, np.arange(300)], axis=1)
    index_file.save(tmp_path / "000000000007", segment, keys)
    return tmp_path / "000000000007", segment


def test_round_trip(saved: tuple[Path, SealedSegment]) -> None:
    stem, segment = saved
    assert index_file.stems(stem.parent) == [stem]
    loaded, keys = index_file.load(stem, 12, Metric.L2)
    assert keys[:, 0].tolist() == list(range(0, 900, 3))
    assert loaded.kind == "HNSW8"
    everything = Bitmap.full(300)
    query = np.ones((1, 12), np.float32)
    for options in (SearchOptions(k=5), SearchOptions(k=5, exact=True)):
        np.testing.assert_array_equal(
            loaded.search(query, options, everything).offsets, segment.search(query, options, everything).offsets
        )
    index_file.remove(stem)
    assert not list(stem.parent.iterdir())


@pytest.mark.parametrize("suffix", [".faiss", ".keys"])
def test_every_flipped_bit_is_noticed(saved: tuple[Path, SealedSegment], suffix: str) -> None:
    stem, _ = saved
    path = stem.with_suffix(suffix)
    content = path.read_bytes()
    for place in np.random.default_rng(2).integers(0, len(content), 40).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(index_file.IndexFileError):
            index_file.load(stem, 12, Metric.L2)
    path.write_bytes(content[:-1])
    with pytest.raises(index_file.IndexFileError):
        index_file.load(stem, 12, Metric.L2)


def test_files_of_another_collection_are_refused(saved: tuple[Path, SealedSegment]) -> None:
    stem, _ = saved
    with pytest.raises(index_file.IndexFileError, match="another collection"):
        index_file.load(stem, 13, Metric.L2)
    with pytest.raises(index_file.IndexFileError, match="another collection"):
        index_file.load(stem, 12, Metric.COSINE)


def test_an_unfinished_file_is_not_seen(saved: tuple[Path, SealedSegment]) -> None:
    stem, _ = saved
    stem.with_suffix(".keys").unlink()
    assert index_file.stems(stem.parent) == []
