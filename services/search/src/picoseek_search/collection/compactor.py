"""Seals, merges and compacts the segments of a shard beside searches and writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from itertools import groupby

from picoseek_search.allocator import return_freed_memory_now
from picoseek_search.collection.idle_alarm import IdleAlarm
from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.merge_plan import MergePlan, PartSize, plan_consolidation, plan_merge, plan_settling
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import Part, View
from picoseek_search.collection.part_builder import PartBuilder
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.workers import Workers
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric

_LOG = logging.getLogger(__name__)

Plan = Callable[[Sequence[PartSize], EngineOptions], MergePlan | None]


class _StoppedError(Exception):
    pass


class Compactor:
    """Builds one part at a time, in the node's thread for building.

    What the merge plan asks for is built at once, in haste. When nothing was written for a while, what was built in
    haste is built as the collection wants it; after that, parts are made one as far as that pays, which gives way as
    soon as anything else is to be built.
    """

    def __init__(
        self,
        index: ShardIndex,
        cache: IndexCache,
        kind: IndexKind,
        metric: Metric,
        options: EngineOptions,
        workers: Workers,
        alarm: Callable[[float, Callable[[], None]], IdleAlarm] = IdleAlarm,
    ) -> None:
        self._index = index
        self._cache = cache
        self._options = options
        self._workers = workers
        self._builder = PartBuilder(index, cache, kind, metric, options)
        self._idle = threading.Condition()
        self._job: Future[None] | None = None
        self._held: Set[Part] = frozenset()
        self._closed = False
        self._failed = False
        self._alarm = alarm(options.idle_s, self._consolidate)

    def schedule(self) -> None:
        """Something was written: start building if there is something to build and nothing is being built."""
        with self._idle:
            self._failed = False
            if self._job is None:
                self._submit()
        self._alarm.note()

    @property
    def is_pending(self) -> bool:
        """Whether something is being built or will be, without another write."""
        plans = (plan_merge, plan_settling, plan_consolidation) if self._options.idle_s else (plan_merge,)
        with self._idle:
            is_due = not self._failed and any(self._planned(plan) is not None for plan in plans)
            return self._job is not None or is_due

    def hold(self, parts: Set[Part]) -> None:
        """Leave these parts as they are, and no others: somebody else is about to replace them."""
        self._held = parts

    def build_as(self, kind: IndexKind) -> None:
        """Build as another kind from now on; call it in the node's thread for building."""
        self._builder.kind = kind

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is being built; returns whether that came true."""
        with self._idle:
            return self._idle.wait_for(lambda: self._job is None, timeout_s)

    def close(self) -> None:
        """Build no more, and return when what is being built was given up."""
        self._alarm.close()
        with self._idle:
            self._closed = True
            if self._job is not None and self._job.cancel():
                self._job = None
            self._idle.wait_for(lambda: self._job is None)

    def _submit(self) -> bool:
        return self._submit_due(plan_merge)

    def _submit_due(self, plan: Plan) -> bool:
        wanted = not self._closed and self._planned(plan) is not None
        if wanted:
            self._job = self._workers.build.submit(lambda: self._run(plan, self._check))
        return wanted

    def _consolidate(self) -> None:
        with self._idle:
            if self._job is not None or self._submit_due(plan_settling):
                return
            if not self._closed and self._planned(plan_consolidation) is not None:
                self._job = self._workers.build.submit_idle(lambda: self._run(plan_consolidation, self._check_idle))

    def _run(self, plan: Plan, check: Callable[[Sequence[View]], None]) -> None:
        again = True
        try:
            views = self._planned(plan)
            if views is not None:
                self._rebuild(views, check, is_busy=plan is plan_merge)
                views = None
                return_freed_memory_now()
        except _StoppedError:
            _LOG.info("an index was given up half built")
        except Exception:
            # The parts stay as they are and are searched; the next write asks again.
            _LOG.exception("an index could not be built")
            again = False
        finally:
            with self._idle:
                self._job = None
                self._failed = not again
                due = again and self._submit()
                self._idle.notify_all()
            if again and not due:
                self._alarm.note()

    def _planned(self, plan: Plan) -> tuple[View, ...] | None:
        held = self._held
        for is_held, run in groupby(self._index.snapshot.views, lambda view: view.part in held):
            views = tuple(run)
            sizes: list[PartSize] = [] if is_held else [self._builder.size_of(view) for view in views]
            planned = plan(sizes, self._options)
            if planned is not None:
                return views[planned.first : planned.first + planned.count]
        return None

    def _rebuild(self, views: Sequence[View], check: Callable[[Sequence[View]], None], *, is_busy: bool) -> None:
        part = self._builder.build(views, lambda _: check(views), is_busy=is_busy)
        if not self._index.replace(views, part):
            if part is not None:
                self._cache.remove(part)
            return
        if part is not None:
            self._cache.save(part)
        for view in views:
            self._cache.remove(view.part)

    def _check(self, _: Sequence[View]) -> None:
        if self._closed or self._workers.stopping.is_set():
            raise _StoppedError

    def _check_idle(self, views: Sequence[View]) -> None:
        self._check(views)
        last = next(view for view in self._index.snapshot.views if view.part is views[-1].part)
        has_grown = last.live.length > views[-1].live.length
        if has_grown or self._workers.build.has_due or self._planned(plan_merge) is not None:
            raise _StoppedError
