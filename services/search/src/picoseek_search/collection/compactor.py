"""Seals, merges and compacts the segments of a shard beside searches and writes."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

import numpy as np

from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.merge_plan import MergePlan, PartSize, plan_merge
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import Part, View
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.workers import Workers
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

_LOG = logging.getLogger(__name__)


class _StoppedError(Exception):
    pass


class Compactor:
    """Builds what the merge plan asks for, one part at a time, in the node's thread for building."""

    def __init__(
        self,
        index: ShardIndex,
        cache: IndexCache,
        kind: IndexKind,
        metric: Metric,
        options: EngineOptions,
        workers: Workers,
    ) -> None:
        self._index = index
        self._cache = cache
        self._kind = kind
        self._metric = metric
        self._options = options
        self._workers = workers
        self._idle = threading.Condition()
        self._job: Future[None] | None = None
        self._closed = False

    def schedule(self) -> None:
        """Start building if there is something to build and nothing is being built."""
        with self._idle:
            if self._job is None:
                self._submit()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until there is nothing to build; returns whether that came true."""
        with self._idle:
            return self._idle.wait_for(lambda: self._job is None, timeout_s)

    def close(self) -> None:
        """Build no more, and return when what is being built was given up."""
        with self._idle:
            self._closed = True
            if self._job is not None and self._job.cancel():
                self._job = None
            self._idle.wait_for(lambda: self._job is None)

    def _submit(self) -> None:
        if not self._closed and self._plan(self._index.snapshot.views) is not None:
            self._job = self._workers.build.submit(self._run)

    def _run(self) -> None:
        built = False
        try:
            built = self._step()
        except _StoppedError:
            _LOG.info("an index was given up half built")
        except Exception:
            # The parts stay as they are and are searched; the next write asks again.
            _LOG.exception("an index could not be built")
        finally:
            with self._idle:
                self._job = None
                if built:
                    self._submit()
                self._idle.notify_all()

    def _plan(self, views: tuple[View, ...]) -> MergePlan | None:
        sizes = [PartSize(view.live.length, view.live.count, view.is_growing) for view in views]
        return plan_merge(sizes, self._options)

    def _step(self) -> bool:
        all_views = self._index.snapshot.views
        plan = self._plan(all_views)
        if plan is None:
            return False
        views = all_views[plan.first : plan.first + plan.count]
        part = self._build(views)
        parts = [view.part for view in views]
        self._index.replace(parts, part)
        if part is not None:
            self._cache.save(part)
        for old in parts:
            self._cache.remove(old)
        return True

    def _build(self, views: tuple[View, ...]) -> Part | None:
        rows = np.concatenate([view.rows[view.live.mask()] for view in views])
        if not len(rows):
            return None
        vectors = np.concatenate([view.part.segment.vectors(view.live) for view in views])
        kind = self._kind if len(rows) >= self._options.graph_rows else self._kind.exact()
        segment = SealedSegment.build(vectors, kind, self._metric, self._check)
        with self._index.lock:
            number = self._index.next_number()
        places = [(view.part, offset) for view in views for offset in view.live.offsets().tolist()]
        return Part(
            number,
            segment,
            rows,
            np.concatenate([view.part.vector_checksums[: view.live.length][view.live.mask()] for view in views]),
            [part.ids[offset] for part, offset in places],
            [part.items[offset] for part, offset in places],
        )

    def _check(self) -> None:
        if self._closed or self._workers.stopping.is_set():
            raise _StoppedError
