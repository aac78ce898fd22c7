"""Builds one part out of several."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.merge_plan import PartSize, Stage
from picoseek_search.collection.names import Names, PackedNames
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import NO_NUMBER, Part, View
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

_BLOCK_ROWS = 4096
_MOST_DEAD_SHARE = 1 / 8

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

    def size_of(self, view: View) -> PartSize:
        """Return what plans must know of a part, as a view shows it."""
        return PartSize(view.live.length, view.live.count, self._stage(view), self._extensible(view) is not None)

    def build(self, views: Sequence[View], check: Callable[[int], None], *, is_busy: bool = False) -> Part | None:
        """Return a part with the live rows of some views, or None if there are none.

        Where the first view is a graph with few dead rows, the part is a copy of it with the others' rows added, and
        the dead ones stay in it.

        Args:
            views: what to build it of; they stay as they are.
            check: called now and then with the rows that are done; an exception that it raises ends the building.
            is_busy: whether rows are being written, so that what is built fast is better than what is searched fast.

        Raises:
            OSError: the disk is full or fails.
        """
        live = sum(view.live.count for view in views)
        if not live:
            return None
        if live < self.kind.rows_to_train:
            _LOG.info("%d rows stay Flat: %s takes %d to train", live, self.kind.factory, self.kind.rows_to_train)
        with self._index.lock:
            number = self._index.next_number()
        kind = self._kind_of(live, is_busy=is_busy)
        graph = self._extensible(views[0])
        kept = [view.live for view in views]
        if graph is not None and graph.index_kind == kind and live > views[0].live.count:
            segment = graph.extended(_gathered(views[1:]), check)
            kept[0] = Bitmap.full(views[0].live.length)
        else:
            segment = self._segment(number, views, kind, check)
        if self._options.gpu is not None:
            segment.copy_to(self._options.gpu)
        offsets = [one.offsets() for one in kept]
        masks = [view.live.mask()[some] for view, some in zip(views, offsets, strict=True)]

        def joined(column: Callable[[Part], NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([column(view.part)[some] for view, some in zip(views, offsets, strict=True)])

        def names(column: Callable[[Part], Names]) -> PackedNames:
            return PackedNames.of_rows(zip((column(view.part) for view in views), offsets, masks, strict=True))

        part = Part(
            number,
            segment,
            # Another part may show what is dead here, so these are no rows of this part any more.
            np.where(np.concatenate(masks), joined(lambda part: part.rows), NO_NUMBER),
            joined(lambda part: part.vector_checksums),
            names(lambda part: part.ids),
            names(lambda part: part.items),
        )
        part.columns.inherit([(view.part.columns, some) for view, some in zip(views, offsets, strict=True)])
        return part

    def _stage(self, view: View) -> Stage:
        if view.is_growing:
            return Stage.GROWING
        segment, live = view.part.segment, view.live.count
        if isinstance(segment, SealedSegment):
            wanted = self.kind.for_rows(live, self._options.graph_rows)
            is_final = wanted.is_exact or self.kind.may_have_built(segment.index_kind)
            return Stage.FINAL if is_final else Stage.INTERIM
        return Stage.FINAL if self._kind_of(live, is_busy=True).is_exact else Stage.FULL

    def _kind_of(self, rows: int, *, is_busy: bool) -> IndexKind:
        options = self._options
        # Without idle times an interim index would stay for ever.
        if is_busy and options.idle_s and options.interim_rows <= rows < options.busy_graph_rows:
            interim = self.kind.interim(rows)
            if interim is not None:
                return interim
        return self.kind.for_rows(rows, options.graph_rows)

    def _extensible(self, view: View) -> SealedSegment | None:
        segment, dead = view.part.segment, view.live.length - view.live.count
        if not isinstance(segment, SealedSegment) or dead > _MOST_DEAD_SHARE * view.live.length:
            return None
        kind = segment.index_kind
        is_whole_graph = kind.structure is Structure.GRAPH and not kind.is_compressed
        return segment if is_whole_graph and kind == self.kind else None

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
