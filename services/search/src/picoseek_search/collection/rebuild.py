"""Builds the index of a shard as another kind, beside the one that is searched, and puts it in its place at once."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

import numpy as np
from picoseek_chassis import errors

from picoseek_search.allocator import return_freed_memory_now
from picoseek_search.collection.compactor import Compactor
from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import Part, View, contains
from picoseek_search.collection.part_builder import PartBuilder
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.workers import Workers
from picoseek_search.operations.progress import OperationStoppedError, Progress
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.storage.documents import RowNumbers

_RETRY_AFTER_FULL_S = 5.0

_LOG = logging.getLogger(__name__)


class Rebuild:
    """One change of a shard's index kind.

    Every sealed part that the new kind would build otherwise is built again, one at a time, so that seals and merges
    come in between. What is written meanwhile is sealed and merged as the old kind; the last step builds that, too, and
    then exchanges everything, all in one turn of the thread for building, so that nothing can come in between.
    """

    def __init__(
        self,
        index: ShardIndex,
        cache: IndexCache,
        beside: IndexCache,
        compactor: Compactor,
        kind: IndexKind,
        metric: Metric,
        options: EngineOptions,
        workers: Workers,
        built: Sequence[Part],
    ) -> None:
        """Prepare a rebuild.

        Args:
            index: what is searched.
            cache: its files.
            beside: files of parts that are built and not searched yet.
            compactor: who builds its parts otherwise.
            kind: what to build.
            metric: how vectors are compared.
            options: sizes.
            workers: threads.
            built: parts of the new kind that were built before a restart.
        """
        self._index = index
        self._cache = cache
        self._beside = beside
        self._compactor = compactor
        self._kind = kind
        self._options = options
        self._workers = workers
        self._builder = PartBuilder(index, beside, kind, metric, options)
        self._built = list(built)

    def run(self, progress: Progress, commit: Callable[[], None]) -> None:
        """Build and exchange.

        Args:
            progress: counts documents.
            commit: makes the new kind that of the collection, on disk; called just before the exchange, which then
                cannot fail any more.

        Raises:
            OperationStoppedError: it was stopped and nothing is exchanged.
            ServiceError: DISK_FULL, or what `commit` raises.
        """
        try:
            first = self._outdated()
            done = sum(len(part.rows) for part in self._built)
            progress.expect(done + sum(view.live.count for view in first))
            progress.advance(done)
            for _ in first:
                self._in_turn(lambda: self._build_next(progress), progress)
            self._in_turn(lambda: self._finish(progress, commit), progress)
        finally:
            self._compactor.hold(frozenset())
            self._compactor.schedule()
            return_freed_memory_now()

    def _in_turn(self, step: Callable[[], None], progress: Progress) -> None:
        progress.check()
        future = self._workers.build.submit(step)
        progress.on_stop(future.cancel)
        try:
            future.result()
        except CancelledError:
            raise OperationStoppedError from None

    def _build_next(self, progress: Progress) -> None:
        outdated = self._outdated()
        if outdated:
            self._build(outdated[0], progress)

    def _finish(self, progress: Progress, commit: Callable[[], None]) -> None:
        while outdated := self._outdated():
            self._build(outdated[0], progress)
        progress.check()
        commit()
        gone = self._index.put(self._built)
        self._compactor.build_as(self._kind)
        try:
            self._cache.take_over(self._beside)
            for part in gone:
                self._cache.remove(part)
        except OSError as error:
            _LOG.warning("files of an index were not moved, that is done after a restart: %s", error)

    def _build(self, view: View, progress: Progress) -> None:
        rows_before = 0

        def check(rows: int) -> None:
            nonlocal rows_before
            progress.check()
            progress.advance(rows - rows_before)
            rows_before = rows

        try:
            part = self._builder.build([view], check)
        except OSError as error:
            raise _disk_error(error) from error
        if part is not None:
            self._beside.save(part)
            self._built.append(part)
            check(len(part.rows))
            progress.expect(max(progress.total, progress.done))

    def _outdated(self) -> list[View]:
        covered = self._covered()
        outdated: list[View] = []
        held: set[Part] = set()
        for view in self._index.snapshot.views:
            live = view.rows[view.live.mask()]
            is_covered = bool(len(live)) and bool(contains(covered, live).all())
            if not is_covered and self._is_outdated(view):
                outdated.append(view)
            elif not is_covered:
                continue
            held.add(view.part)
        self._compactor.hold(held)
        return outdated

    def _is_outdated(self, view: View) -> bool:
        segment = view.part.segment
        if not isinstance(segment, SealedSegment) or not view.live.count:
            return False
        wanted = self._kind.for_rows(view.live.count, self._options.graph_rows)
        if wanted.is_exact:
            return not segment.index_kind.is_exact
        return not self._kind.may_have_built(segment.index_kind)

    def _covered(self) -> RowNumbers:
        return np.sort(np.concatenate([part.rows for part in self._built] or [np.empty(0, np.int64)]))


def _disk_error(error: OSError) -> errors.ServiceError:
    if error.errno == errno.ENOSPC:
        return errors.resource_exhausted(
            "DISK_FULL",
            "there is no room to build the index beside the one that is searched; make room and change it again",
            retry_after_s=_RETRY_AFTER_FULL_S,
        )
    return errors.data_loss("STORAGE_CORRUPT", f"the index cannot be written: {error}")
