"""One part of a collection: its documents on disk, its index in memory, and the order of its writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from picoseek_chassis.errors import ServiceError

from picoseek_search.collection.compactor import Compactor
from picoseek_search.collection.index_cache import IndexCache
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.part import Part
from picoseek_search.collection.rebuild import Rebuild
from picoseek_search.collection.revision_waiters import RevisionWaiters
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.shard_writer import ShardWriter
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.workers import Workers
from picoseek_search.collection.write_queue import Outcome, Write, WriteQueue
from picoseek_search.filtering.conditions import Schema
from picoseek_search.operations.progress import Progress
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.storage.applied import begin_shard
from picoseek_search.storage.database import CollectionDatabase
from picoseek_search.storage.documents import DocumentReader, Effect, RowDirectory, StoredRow
from picoseek_search.storage.log import EmbeddedLog, Revision
from picoseek_search.storage.requests import RequestTable
from picoseek_search.storage.sqlite import transaction, translated

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardSettings:
    """What a shard is opened as."""

    number: int
    """From 0."""
    dimension: int
    """Components of its vectors."""
    metric: Metric
    """How they are compared."""
    kind: IndexKind
    """How they are indexed."""
    schema: Schema
    """Attributes that filters may name."""
    rebuild_as: IndexKind | None
    """What they are about to be indexed as; parts that were built for it before a restart are kept."""


class Shard:
    """Documents in one total order of writes. All methods may be called from any thread."""

    def __init__(
        self, directory: Path, settings: ShardSettings, options: EngineOptions, workers: Workers, *, create: bool
    ) -> None:
        """Open the shard and make it searchable: from index files where they fit, else exactly until they are built.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self._settings = settings
        self._database = CollectionDatabase(directory / "documents.sqlite3", create=create)
        self._index = ShardIndex(settings.dimension, settings.metric, options.growing_rows)
        self._options = options
        self._workers = workers
        self._cache = IndexCache(directory / "index", settings.dimension, settings.metric, options.gpu)
        self._beside = IndexCache(directory / "rebuild", settings.dimension, settings.metric, options.gpu)
        try:
            if create:
                with translated(self._database.path), transaction(self._database.writer):
                    begin_shard(self._database.writer, settings.number)
            self._built = self._load()
        except ServiceError as error:
            cause = error
            self._database.close(lambda: cause)
            raise
        connection = self._database.writer
        self._writer = ShardWriter(
            settings.number,
            self._database,
            EmbeddedLog(connection, options.keep_log_records),
            RequestTable(connection, options.keep_requests),
            self._index,
            settings.schema,
        )
        self._queue = WriteQueue(self._apply, workers.write, options.max_group_bytes)
        self._compactor = Compactor(self._index, self._cache, settings.kind, settings.metric, options, workers)
        self._waiters = RevisionWaiters(self._index.snapshot.revision)
        self._compactor.schedule()

    @property
    def snapshot(self) -> Snapshot:
        """The newest state of the index."""
        return self._index.snapshot

    @property
    def database(self) -> CollectionDatabase:
        """What is on disk."""
        return self._database

    @property
    def index(self) -> ShardIndex:
        """What searches see."""
        return self._index

    @property
    def compactor(self) -> Compactor:
        """Who builds its indexes."""
        return self._compactor

    def submit(self, write: Write) -> None:
        """Queue a write; `write.future` tells when it is on disk and seen by searches.

        Raises:
            ServiceError: the shard is closed.
        """
        self._queue.submit(write)

    def when_reached(self, revision: Revision) -> Future[None]:
        """Return a future that is done once searches see a revision; cancel it to wait no more."""
        return self._waiters.add(revision)

    @contextmanager
    def reader(self) -> Generator[tuple[DocumentReader, Revision]]:
        """Lend a reader of the documents at one revision.

        Raises:
            ServiceError: STORAGE_CORRUPT, or what was given to close().
        """
        with self._database.reader(self._settings.number) as reader, reader.snapshot() as revision:
            yield reader, revision

    @contextmanager
    def reader_with_snapshot(self) -> Generator[tuple[DocumentReader, Snapshot]]:
        """Lend a reader of the documents and the state of the index at the same revision.

        Raises:
            ServiceError: STORAGE_CORRUPT, or what was given to close().
        """
        with self._database.reader(self._settings.number) as reader:
            with reader.snapshot() as revision:
                snapshot = self._index.snapshot
                if snapshot.revision == revision:
                    yield reader, snapshot
                    return
            # A write was committed in between. Between its commit and its publication it holds the lock.
            with ExitStack() as stack:
                with self._index.lock:
                    stack.enter_context(reader.snapshot())
                    snapshot = self._index.snapshot
                yield reader, snapshot

    def rebuild(self, kind: IndexKind, progress: Progress, commit: Callable[[], None]) -> None:
        """Build the index as another kind beside, and put it in its place; see Rebuild.run()."""
        built, self._built = self._built, []
        Rebuild(
            self._index,
            self._cache,
            self._beside,
            self._compactor,
            kind,
            self._settings.metric,
            self._options,
            self._workers,
            built,
        ).run(progress, commit)

    def forget_rebuild(self) -> None:
        """Remove what a rebuild that was given up has built."""
        self._built = []
        self._beside.clear()

    def change_schema(
        self, schema: Schema, version: int, check: Callable[[DocumentReader], None], commit: Callable[[], None]
    ) -> None:
        """Change what attributes documents may have; no write comes between the check and the change.

        Args:
            schema: attributes from now on.
            version: writes that were prepared for an older one are refused.
            check: raises if a document does not fit.
            commit: writes the change to disk.

        Raises:
            ServiceError: what `check` and `commit` raise; nothing has changed then.
        """
        with self._index.lock:
            with self.reader() as (reader, _):
                check(reader)
            commit()
            self._writer.change_schema(schema, version)

    def close(self, answer: Callable[[], ServiceError]) -> None:
        """Finish the write under way, refuse the others with `answer`, and close the files."""
        self._queue.close(answer)
        self._compactor.close()
        self._database.close(answer)

    def _apply(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = self._writer.apply(writes)
        self._waiters.reach(self._index.snapshot.revision)
        self._compactor.schedule()
        return outcomes

    def _load(self) -> list[Part]:
        growing_rows = self._options.growing_rows
        with self.reader() as (reader, revision), self._index.lock:
            self._index.publish(Snapshot(revision, 0, ()))
            directory = reader.directory()
            reader.check(directory)
            covered = np.zeros(len(directory.rows), np.bool_)
            built = self._load_beside(directory)
            for cached in self._cache.load(directory, self._settings.kind):
                self._index.add_sealed(cached.part, cached.live)
                covered |= np.isin(directory.rows, cached.part.rows[cached.live.mask()])
            places = np.flatnonzero(~covered)
            for start in range(0, len(places), growing_rows):
                some = places[start : start + growing_rows].tolist()
                effect = Effect(added=[_stored(reader, directory, place) for place in some])
                self._index.publish(self._index.stage(effect, revision))
        return built

    def _load_beside(self, directory: RowDirectory) -> list[Part]:
        if self._settings.rebuild_as is not None:
            built = [cached.part for cached in self._beside.load(directory, self._settings.rebuild_as)]
            self._index.reserve(max([0, *(part.number for part in built)]))
            return built
        try:
            self._cache.take_over(self._beside)
        except OSError as error:
            _LOG.warning("files of an index were not moved, it is built anew: %s", error)
        self._beside.clear()
        return []


def _stored(reader: DocumentReader, directory: RowDirectory, place: int) -> StoredRow:
    row = int(directory.rows[place])
    return StoredRow(
        row,
        directory.ids[place],
        directory.items[place],
        reader.vector(row),
        int(directory.vector_checksums[place]),
    )
