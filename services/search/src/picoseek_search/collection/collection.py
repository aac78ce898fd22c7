"""A gallery: its settings, its writes, its answers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_chassis import errors
from picoseek_protos.log.v1 import record_pb2
from picoseek_protos.v1 import collection_pb2, document_pb2, revision_pb2

from picoseek_search.collection.calibrator import Calibrator
from picoseek_search.collection.filter_selection import known_selection, selection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.recall_watch import RecallWatch
from picoseek_search.collection.search import Found, Query, RunnerUp, Target, runners_up, search, targets_of
from picoseek_search.collection.shard import Shard, ShardSettings
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.specification import Specification
from picoseek_search.collection.workers import Workers
from picoseek_search.collection.write_queue import Change, Write, WriteResult
from picoseek_search.filtering.conditions import Condition, read_filter
from picoseek_search.filtering.filter_syntax import FilterError
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.factory import parse_factory
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.storage.filter_sql import ALWAYS, sql_of
from picoseek_search.storage.history import History
from picoseek_search.storage.log import Revision


@dataclass(frozen=True, eq=False)
class SearchAnswer:
    """What a search found, and where."""

    found: Found
    """The hits."""
    documents: list[document_pb2.Document]
    """One a hit if they were asked for, else empty."""
    snapshot: Snapshot
    """What was searched."""
    targets: list[Target]
    """Parts of it with documents that meet the filter."""
    runners_up: list[RunnerUp | None]
    """One a query if they were asked for, else empty."""
    first_documents: dict[str, document_pb2.Document]
    """The first hits' documents by id, without their vectors, if they were asked for."""


@dataclass(frozen=True)
class Reasons:
    """What a search shall find out about its first hits."""

    runners_up: bool = False
    """The nearest document of another item."""
    documents: bool = False
    """Their documents."""


NO_REASONS = Reasons()


@dataclass(frozen=True, eq=False)
class DocumentsAnswer:
    """Documents at one revision."""

    documents: list[document_pb2.Document]
    """The documents."""
    revision: Revision
    """Where they were read."""


@dataclass(frozen=True)
class RunningRebuild:
    """A change of the index kind that is under way."""

    operation_id: str
    """Operation.id of it."""
    factory: str
    """IndexConfig.factory that the collection gets."""
    ef_construction: int
    """IndexConfig.ef_construction that it gets."""

    @property
    def kind(self) -> IndexKind:
        """What the index becomes."""
        return parse_factory(self.factory, self.ef_construction)


class Collection:
    """Documents whose vectors are of one embedding space. Methods block; call them in worker threads."""

    def __init__(
        self,
        directory: Path,
        specification: Specification,
        options: EngineOptions,
        workers: Workers,
        *,
        create: bool,
        rebuild: RunningRebuild | None = None,
    ) -> None:
        """Open a collection, or make one in an empty directory.

        Args:
            directory: its own; the name tells it from every other collection there was and will be.
            specification: its settings.
            options: sizes.
            workers: threads.
            create: make it.
            rebuild: what a stop of the service has interrupted.

        Raises:
            ServiceError: STORAGE_CORRUPT or DISK_FULL.
        """
        self.specification = specification
        """Its settings. They may be replaced at any time: a call reads them once."""
        self.identity = directory.name
        """Never given to another collection, of whatever name."""
        self.directory = directory
        """Where its files are."""
        self.history = History(self.identity)
        """Where its writes come from; another one, set before anybody uses it, if it was restored."""
        self.settings_lock = threading.Lock()
        """Held while settings are changed."""
        self.rebuild: RunningRebuild | None = None
        """The change of the index kind that is under way."""
        unfinished = None if rebuild is None or specification.kind.builds_like(rebuild.kind) else rebuild.kind
        settings = ShardSettings(
            0, specification.dimension, specification.metric, specification.kind, specification.schema, unfinished
        )
        self.shard = Shard(directory, settings, options, workers, create=create)
        self._activity = workers.activity
        self.calibrator = Calibrator(
            directory / "calibration",
            lambda: self.specification,
            lambda: self.shard.snapshot,
            workers,
            options.calibration_delay_s,
        )
        """What verdicts rest on."""
        self.recall = RecallWatch(specification.metric, workers, options.recall)
        """What searches find of what an exact search finds."""

    @property
    def is_index_pending(self) -> bool:
        """Whether an index is being built or will be, without another write; may be asked in any thread."""
        return self.rebuild is not None or self.shard.compactor.is_pending

    def prepare_upsert(
        self, documents: Sequence[document_pb2.Document], request_id: str, checked: Specification | None = None
    ) -> Write:
        """Return the write of documents, which fit the settings `checked`; None: those of now."""
        version = (checked or self.specification).schema_version
        asked = record_pb2.UpsertChange(documents=documents)
        for document in asked.documents:
            document.provenance.ClearField("request_id")
            document.provenance.ClearField("added_at")
        now = _now()
        change = record_pb2.UpsertChange()
        change.CopyFrom(asked)
        for document in change.documents:
            document.provenance.request_id = request_id
            document.provenance.added_at.CopyFrom(now)
        return _write(asked, change, request_id, now, version)

    def prepare_delete(self, ids: Sequence[str], request_id: str) -> Write:
        """Return the removal of documents by id."""
        change = record_pb2.DeleteChange(ids=ids)
        return _write(change, change, request_id, _now(), self.specification.schema_version)

    def prepare_delete_where(self, filter_text: str, request_id: str) -> Write:
        """Return the removal of documents by condition.

        Raises:
            ServiceError: FILTER_INVALID.
        """
        version = self.specification.schema_version
        self.condition(filter_text)
        change = record_pb2.DeleteByFilterChange(filter=filter_text)
        return _write(change, change, request_id, _now(), version)

    def submit(self, write: Write) -> Future[WriteResult]:
        """Queue a write; the future is done when it is on disk and searches see it. Does not block.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, it was removed meanwhile.
        """
        self.shard.submit(write)
        write.future.add_done_callback(self._written)
        return write.future

    def search(
        self,
        query: Query,
        filter_text: str,
        include: document_pb2.DocumentMask | None,
        reasons: Reasons = NO_REASONS,
    ) -> SearchAnswer:
        """Find the nearest documents that meet a filter.

        Raises:
            ServiceError: FILTER_INVALID or STORAGE_CORRUPT.
        """
        condition = self.condition(filter_text)
        with self._activity.busy():
            answer = None
            if include is None and not reasons.documents:
                answer = self._search_in_memory(query, condition, reasons)
            if answer is None:
                with self.shard.reader_with_snapshot() as (reader, snapshot):
                    selected = None if condition is None else selection(snapshot, condition, reader)
                    answer = self._search(snapshot, query, selected, reasons)
                    found = answer.found
                    if include is not None:
                        by_id = reader.by_ids(sorted(set(found.ids)), vectors=include.vector)
                        answer.documents.extend(masked(by_id[id_], include) for id_ in found.ids)
                    if reasons.documents:
                        first = {found.ids[start] for start, end in pairwise(found.offsets) if start < end}
                        answer.first_documents.update(reader.by_ids(sorted(first), vectors=False))
        self.recall.offer(answer.targets, query, answer.found)
        return answer

    def _search_in_memory(self, query: Query, condition: Condition | None, reasons: Reasons) -> SearchAnswer | None:
        snapshot = self.shard.snapshot
        selected = None if condition is None else known_selection(snapshot, condition)
        return None if condition is not None and selected is None else self._search(snapshot, query, selected, reasons)

    def _search(
        self, snapshot: Snapshot, query: Query, selected: Sequence[Bitmap] | None, reasons: Reasons
    ) -> SearchAnswer:
        metric = self.specification.metric
        targets = targets_of(snapshot, selected)
        found = search(targets, query, metric)
        seconds = runners_up(targets, query, metric, found) if reasons.runners_up else []
        return SearchAnswer(found, [], snapshot, targets, seconds, {})

    def get(self, ids: Sequence[str], include: document_pb2.DocumentMask) -> DocumentsAnswer:
        """Return documents by id, in the order of `ids`, without those that are not there.

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        with self.shard.reader() as (reader, revision):
            by_id = reader.by_ids(ids, vectors=include.vector)
        return DocumentsAnswer([masked(by_id[id_], include) for id_ in ids if id_ in by_id], revision)

    def page(self, after_id: str, limit: int, filter_text: str, include: document_pb2.DocumentMask) -> DocumentsAnswer:
        """Return the first documents by id, behind an id, that meet a filter.

        Raises:
            ServiceError: FILTER_INVALID or STORAGE_CORRUPT.
        """
        condition = self.condition(filter_text)
        with self.shard.reader() as (reader, revision):
            documents = reader.page(after_id, limit, sql_of(condition), vectors=include.vector)
        return DocumentsAnswer([masked(document, include) for document in documents], revision)

    def count(self, filter_text: str) -> tuple[int, int, Revision]:
        """Return how many documents meet a filter, how many items they show, and the revision.

        Raises:
            ServiceError: FILTER_INVALID or STORAGE_CORRUPT.
        """
        condition = self.condition(filter_text)
        with self.shard.reader() as (reader, revision):
            documents, items = reader.count(sql_of(condition))
        return documents, items, revision

    def describe(self) -> collection_pb2.Collection:
        """Return its settings and state.

        Raises:
            ServiceError: STORAGE_CORRUPT.
        """
        described = collection_pb2.Collection()
        specification = self.specification
        described.CopyFrom(specification.settings)
        described.etag = specification.etag
        # Asked first: where nothing is pending, the segments below are those that stay.
        described.index_pending = self.is_index_pending
        with self.shard.reader_with_snapshot() as (reader, snapshot):
            described.documents, described.items = reader.count(ALWAYS)
        described.revision.epoch, described.revision.sequence = snapshot.revision.epoch, snapshot.revision.sequence
        described.index_generation = snapshot.generation
        described.restored_at.extend(
            revision_pb2.Revision(epoch=epoch, sequence=sequence)
            for epoch, sequence in sorted(self.history.ended.items())
        )
        for view in snapshot.views:
            segment = view.part.segment
            sealing = segment.kind == "growing" and not view.is_growing
            described.segments.add(
                id=view.part.number,
                kind="sealing" if sealing else segment.kind,
                rows=view.live.length,
                live_rows=view.live.count,
                memory_bytes=segment.memory_bytes,
            )
        return described

    def condition(self, filter_text: str) -> Condition | None:
        """Read a filter; None: every document meets it.

        Raises:
            ServiceError: FILTER_INVALID.
        """
        try:
            return read_filter(filter_text, self.specification.schema)
        except FilterError as error:
            raise errors.invalid_argument("FILTER_INVALID", f"filter: {error}", filter=filter_text[:200]) from error

    def close(self, answer: Callable[[], errors.ServiceError]) -> None:
        """Finish the write under way, refuse all other calls with `answer`, and close the files."""
        self.recall.close()
        self.calibrator.close()
        self.shard.close(answer)

    def _written(self, write: Future[WriteResult]) -> None:
        if not write.cancelled() and write.exception() is None and not write.result().already_applied:
            counts = write.result().counts
            self.calibrator.note(counts.inserted + counts.replaced + counts.deleted)


def collection_not_found(name: str) -> errors.ServiceError:
    """Return the error for a collection that does not exist."""
    return errors.not_found(
        "COLLECTION_NOT_FOUND",
        f"there is no collection {name!r}; ListCollections (`picoseek collection list`) names those there are",
        collection=name,
    )


def masked(document: document_pb2.Document, include: document_pb2.DocumentMask) -> document_pb2.Document:
    """Return the document with those parts only that are asked for, id and item always."""
    if include.labels and include.attributes and include.payload and include.provenance:
        return document
    shown = document_pb2.Document()
    shown.CopyFrom(document)
    for name in ("labels", "attributes", "payload", "provenance"):
        if not getattr(include, name):
            shown.ClearField(name)
    return shown


def _write(asked: Change, change: Change, request_id: str, now: Timestamp, schema_version: int) -> Write:
    return Write(change, request_id, _digest(asked), now, change.ByteSize(), schema_version)


def _digest(change: Change) -> bytes:
    content = change.SerializeToString(deterministic=True)
    return hashlib.sha256(change.DESCRIPTOR.full_name.encode() + b"\0" + content).digest()


def _now() -> Timestamp:
    now = Timestamp()
    now.FromNanoseconds(time.time_ns())
    return now
