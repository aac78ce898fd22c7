"""Indexes that are copied to a GPU, up to the GPU itself: its part is played by a second Faiss index on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.gpu import Gpu, GpuCopy, GpuUnavailableError
from picoseek_search.segment.hits import NO_ROW
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions
from picoseek_search.settings import SearchSettings
from pydantic import ValidationError

ROWS = 2600
has_gpu = hasattr(faiss, "StandardGpuResources")


class CpuInPlaceOfGpu:
    """Copies as `Gpu` does, to where there is always room."""

    def __init__(self) -> None:
        self.searched = 0

    def copy(self, index: Any, kind: IndexKind) -> GpuCopy:
        counted = self

        class Counted(GpuCopy):
            def search(self, queries: np.ndarray, k: int, cells: int) -> Any:
                found = super().search(queries, k, cells)
                counted.searched += found is not None
                return found

        return Counted(faiss.clone_index(index), kind, threading.Lock())


@pytest.fixture(scope="module")
def pairs(
    build_segment: Callable[..., SealedSegment],
) -> dict[str, tuple[SealedSegment, SealedSegment, CpuInPlaceOfGpu]]:
    """By factory string: a segment, the same with a copy, and what has counted the copy's searches."""
    rows = np.random.default_rng(1).standard_normal((ROWS, 24)).astype(np.float32)
    found = {}
    for factory in ("Flat", "IVF40,Flat", "IVF40,SQ8", "SQ8"):
        gpu = CpuInPlaceOfGpu()
        alone, copied = (build_segment(rows, factory, Metric.L2) for _ in range(2))
        copied.copy_to(gpu)  # type: ignore[arg-type]
        found[factory] = alone, copied, gpu
    return found


@pytest.mark.parametrize("factory", ["Flat", "IVF40,Flat", "IVF40,SQ8", "SQ8"])
@given(seed=st.integers(0, 2**31), dead=st.sampled_from([0, 1, 300, 2000, ROWS - 3]), k=st.sampled_from([1, 7, 60]))
@settings(max_examples=25, deadline=None)
def test_a_copy_changes_no_answer(
    pairs: dict[str, tuple[SealedSegment, SealedSegment, CpuInPlaceOfGpu]], factory: str, seed: int, dead: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    alone, copied, _ = pairs[factory]
    mask = np.ones(ROWS, np.bool_)
    mask[random.choice(ROWS, dead, replace=False)] = False
    selected = Bitmap.from_mask(mask)
    queries = random.standard_normal((3, 24)).astype(np.float32)
    options = SearchOptions(k=k, nprobe=40)
    expected, answer = alone.search(queries, options, selected), copied.search(queries, options, selected)
    assert answer.offsets.shape == (3, min(k, ROWS - dead))
    assert not (answer.offsets == NO_ROW).any()
    assert mask[answer.offsets].all()
    np.testing.assert_array_equal(answer.offsets, expected.offsets)
    np.testing.assert_allclose(answer.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_the_copy_is_used_until_it_would_have_to_select_too_many(
    pairs: dict[str, tuple[SealedSegment, SealedSegment, CpuInPlaceOfGpu]],
) -> None:
    _, copied, gpu = pairs["Flat"]
    queries = np.zeros((1, 24), np.float32)
    before = gpu.searched
    copied.search(queries, SearchOptions(k=10), Bitmap.full(ROWS))
    assert gpu.searched == before + 1
    mask = np.ones(ROWS, np.bool_)
    mask[:2040] = False
    copied.search(queries, SearchOptions(k=10), Bitmap.from_mask(mask))
    assert gpu.searched == before + 1
    mask[:2038] = True
    copied.search(queries, SearchOptions(k=10), Bitmap.from_mask(mask))
    assert gpu.searched == before + 2


@pytest.mark.skipif(has_gpu, reason="this Faiss can use GPUs")
def test_without_a_gpu_it_is_said_what_to_install() -> None:
    with pytest.raises(GpuUnavailableError, match="picoseek-search\\[gpu\\]"):
        Gpu(0)


@pytest.mark.skipif(has_gpu, reason="this Faiss can use GPUs")
def test_a_service_without_its_gpu_says_so_and_searches_on_the_cpu(
    search_process: Callable[..., Any], client_of: Callable[..., Any], document_of: Callable[..., Any]
) -> None:
    process = search_process(environment={"PICOSEEK_SEARCH_INDEX_DEVICE": "gpu:0"})
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="gallery", dimension=8)
        client.upsert("gallery", [document_of("d1", np.ones(8))])
        assert list(client.find("gallery", np.ones((1, 8)), k=1).ids) == ["d1"]
    assert "index_device is gpu:0, but indexes stay on the CPU" in process.log.read_text()


@pytest.mark.parametrize("device", ["tpu", "gpu:", "gpu:x", "GPU", "gpu:0 "])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(ValidationError, match="index_device"):
        SearchSettings(index_device=device)
