"""The kernel is asked for huge pages under indexes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.rows import storage_of
from picoseek_search.segment.sealed import SealedSegment

ROWS, COLUMNS = 20_000, 256
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def flags_of(address: int) -> list[str]:
    """What the kernel was told of the mapping in which an address lies."""
    within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "VmFlags" and within:
            return rest.split()
        if "-" in name.split()[0]:
            begin, end = (int(part, 16) for part in name.split()[0].split("-"))
            within = begin <= address < end
    raise AssertionError("no such mapping")


def blocks_of(segment: SealedSegment) -> Iterator[int]:
    """Addresses in the middle of an index's rows and links."""
    storage = storage_of(segment.index, segment.index_kind)
    rows = storage.xb if segment.index_kind.is_binary else storage.codes
    for block in (rows, segment.index.hnsw.neighbors):
        memory = faiss.rev_swig_ptr(block.data(), block.size())
        yield memory.ctypes.data + memory.nbytes // 2


@pytest.mark.skipif(not SETTING.exists(), reason="this kernel has no transparent huge pages")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.parametrize("factory", ["HNSW32", "HNSW32,SQ8", "BHNSW32"])
def test_rows_and_links_lie_in_huge_pages(factory: str, build_segment: Callable[..., SealedSegment]) -> None:
    rng = np.random.default_rng(5)
    if factory.startswith("B"):
        metric, rows = Metric.HAMMING, rng.integers(0, 256, (ROWS, COLUMNS), np.uint8)
    else:
        metric, rows = Metric.L2, rng.standard_normal((ROWS, COLUMNS), np.float32)
    segment = build_segment(rows, factory, metric, ef_construction=8)
    for address in blocks_of(segment):
        assert "hg" in flags_of(address)
