"""Builds one part out of several."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import Part, View
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

_BLOCK_ROWS = 4096

_LOG = logging.getLogger(__name__)


class PartBuilder:
    """Builds parts of a shard as its collection wants them indexed."""

    def __init__(
        self, index: ShardIndex, cache: IndexCache, kind: IndexKind, metric: Metric, options: EngineOptions
    ) -> None:
        self.kind = kind
        """How parts are built from now on."""
        self._index = index
        self._cache = cache
        self._metric = metric
        self._options = options

    def build(self, views: Sequence[View], check: Callable[[int], None]) -> Part | None:
        """Return a part with the live rows of some views, or None if there are none.

        Args:
            views: what to build it of; they stay as they are.
            check: called now and then with the rows that are in it; an exception that it raises ends the building.

        Raises:
            OSError: the disk is full or fails.
        """
        rows = np.concatenate([view.rows[view.live.mask()] for view in views])
        if not len(rows):
            return None
        kind = self.kind.for_rows(len(rows), self._options.graph_rows)
        if len(rows) < self.kind.rows_to_train:
            _LOG.info("%d rows stay Flat: %s takes %d to train", len(rows), self.kind.factory, self.kind.rows_to_train)
        with self._index.lock:
            number = self._index.next_number()
        segment = self._segment(number, views, kind, check)
        if self._options.gpu is not None:
            segment.copy_to(self._options.gpu)
        return Part(
            number,
            segment,
            rows,
            np.concatenate([view.part.vector_checksums[: view.live.length][view.live.mask()] for view in views]),
            np.concatenate([view.part.ids[view.live.offsets()] for view in views]),
            np.concatenate([view.part.items[view.live.offsets()] for view in views]),
        )

    def _segment(
        self, number: int, views: Sequence[View], kind: IndexKind, check: Callable[[int], None]
    ) -> SealedSegment:
        if not kind.is_compressed:
            return SealedSegment.build(_gathered(views), kind, self._metric, check)
        full = self._cache.write_vectors(number, _blocks(views))
        try:
            return SealedSegment.build(full, kind, self._metric, check)
        except BaseException:
            self._cache.discard(number)
            raise


def _gathered(views: Sequence[View]) -> Vectors:
    first = next(_blocks(views))
    rows = sum(view.live.count for view in views)
    # A mapping of its own goes back to the operating system when the index is built; see GrowingSegment.
    memory = mmap.mmap(-1, rows * first[0].nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    vectors: Vectors = np.frombuffer(memory, first.dtype).reshape(rows, first.shape[1])
    start = 0
    for block in _blocks(views):
        vectors[start : start + len(block)] = block
        start += len(block)
    return vectors


def _blocks(views: Sequence[View]) -> Iterator[Vectors]:
    for view in views:
        offsets = view.live.offsets()
        for start in range(0, len(offsets), _BLOCK_ROWS):
            yield view.part.segment.vectors(offsets[start : start + _BLOCK_ROWS])
