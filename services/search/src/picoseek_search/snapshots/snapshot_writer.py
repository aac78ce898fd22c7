"""Writes a snapshot of a collection while it is searched and written to."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
from google.protobuf import json_format

from picoseek_search.collection.collection import Collection
from picoseek_search.operations.progress import Progress
from picoseek_search.snapshots.blob_store import BlobStore
from picoseek_search.snapshots.index_snapshot import OpenIndexes, opened_indexes
from picoseek_search.snapshots.live_rows import pack_rows
from picoseek_search.snapshots.manifest import Blob, IndexFiles, Manifest, RowSegment
from picoseek_search.snapshots.segment_plan import SEGMENT_BYTES, SegmentPlan, plan_segments
from picoseek_search.snapshots.snapshot_library import SnapshotLibrary, snapshot_exists
from picoseek_search.storage.documents import DocumentReader, RowNumbers, StoredVersion
from picoseek_search.storage.filter_sql import ALWAYS
from picoseek_search.storage.log import Revision
from picoseek_search.storage.requests import applied_requests, first_request
from picoseek_search.storage.row_segment import requests_segment, versions_segment

SHARD = 0
"""The one shard of a collection."""
_UPLOADS = 3
_ROW_BYTES = 512
_REQUEST_BYTES = 160
_SEGMENT_REQUESTS = SEGMENT_BYTES // _REQUEST_BYTES


class SnapshotWriter:
    """Writes one snapshot.

    Documents are read in one transaction, so they are those of one revision; writes go on meanwhile, into SQLite's
    write-ahead log, which is not shortened before the end of the transaction. Blobs come first and the manifest last,
    under a name that must be free.
    """

    def __init__(self, library: SnapshotLibrary, collection: Collection, progress: Progress) -> None:
        """Make a writer.

        Args:
            library: where to.
            collection: what of.
            progress: told of the bytes that are read; may stop it.
        """
        self._library = library
        self._collection = collection
        self._progress = progress
        self._settings = collection.specification.settings
        self._history = collection.history
        self._renew: Callable[[], None] = lambda: None
        self._new_bytes = 0

    def write(self, name: str) -> str:
        """Write it; returns its name.

        Args:
            name: of the snapshot; empty: made of the time and the revision.

        Raises:
            ServiceError: SNAPSHOT_EXISTS, STORAGE_CORRUPT, DISK_FULL, SNAPSHOT_STORE_UNAVAILABLE,
                SNAPSHOT_STORE_REFUSED.
            OperationStoppedError: it was stopped. Blobs that no snapshot needs are removed in any case.
        """
        collection = self._settings.name
        if name and self._library.exists(collection, name):
            raise snapshot_exists(collection, name)
        try:
            with self._library.marks(collection).writing(self._progress.check) as renew:
                self._renew = renew
                manifest = self._write(name)
                self._library.add(manifest)
                return manifest.name
        except BaseException:
            # What happened counts, not what comes of tidying up; a later deletion makes up for it.
            with suppress(Exception):
                self._library.collect(collection, Progress())
            raise

    def _write(self, name: str) -> Manifest:
        created_at = datetime.now(UTC)
        shard = self._collection.shard
        blobs = self._library.blobs(self._settings.name)
        with (
            opened_indexes(self._collection.directory / "index") as indexes,
            shard.database.connection() as connection,
            ThreadPoolExecutor(_UPLOADS, "upload") as uploads,
        ):
            reader = DocumentReader(connection, SHARD, shard.database.path)
            with reader.snapshot() as revision:
                tables = _TableWriter(blobs, uploads, self._tick)
                base = self._base(revision)
                rows = reader.rows_where(ALWAYS)
                row_bytes = self._collection.specification.metric.row_bytes(self._settings.space.dimension) + _ROW_BYTES
                next_row = reader.next_row()
                kept = self._sound(blobs, base.document_segments) if base else []
                documents = _plan(kept, rows, next_row - 1, row_bytes)
                self._expect(documents, rows, row_bytes, indexes)
                document_segments = tables.write(
                    documents, lambda first, last: _cut_versions(reader.versions(first, last))
                )
                oldest = first_request(connection, SHARD)
                sequences = np.arange(revision.sequence + 1 if oldest is None else oldest, revision.sequence + 1)
                requests = _plan(
                    self._sound(blobs, base.request_segments) if base else [],
                    sequences,
                    revision.sequence,
                    _REQUEST_BYTES,
                )
                request_segments = tables.write(requests, lambda first, last: _cut_requests(connection, first, last))
            live = tables.put(pack_rows(rows))
            files = self._write_indexes(blobs, indexes)
        done = self._progress.done
        self._progress.expect(done)
        return Manifest(
            collection=self._settings.name,
            name=name or f"{created_at:%Y%m%dt%H%M%S}-{revision.epoch}.{revision.sequence}",
            created_at=created_at,
            settings=json_format.MessageToDict(self._settings, preserving_proto_field_name=True),
            origin=self._history.origin,
            ended=dict(self._history.ended),
            epoch=revision.epoch,
            sequence=revision.sequence,
            next_row=next_row,
            documents=len(rows),
            live=live,
            document_segments=document_segments,
            first_request=oldest or revision.sequence + 1,
            request_segments=request_segments,
            indexes=files,
            new_bytes=tables.new_bytes + self._new_bytes,
        )

    def _base(self, revision: Revision) -> Manifest | None:
        """Return the newest snapshot all of whose rows are still called as they were."""
        usable = [
            one.manifest
            for one in self._library.of(self._settings.name)
            if one.manifest is not None
            and one.manifest.origin == self._history.origin
            and self._history.contains(Revision(one.manifest.epoch, one.manifest.sequence), revision.epoch)
            # One that was begun later may have come first; what was removed in between is not in it.
            and Revision(one.manifest.epoch, one.manifest.sequence) <= revision
        ]
        return max(usable, key=lambda manifest: (manifest.epoch, manifest.sequence), default=None)

    def _sound(self, blobs: BlobStore, segments: Sequence[RowSegment]) -> list[RowSegment]:
        return [one for one in segments if blobs.is_sound(one.blob, lambda _: self._tick(0))]

    def _expect(self, plan: SegmentPlan, rows: RowNumbers, row_bytes: int, indexes: OpenIndexes) -> None:
        new_rows = sum(_within(rows, first, last) for first, last in plan.gaps)
        files = [os.fstat(file.fileno()).st_size for index in indexes.values() for file in index.values()]
        self._progress.expect(new_rows * row_bytes + sum(files))

    def _write_indexes(self, blobs: BlobStore, indexes: OpenIndexes) -> tuple[IndexFiles, ...]:
        found: list[IndexFiles] = []
        for number, files in sorted(indexes.items()):
            stored: dict[str, Blob] = {}
            for suffix, file in files.items():
                stored[suffix], written = blobs.put_file(file, self._tick)
                self._new_bytes += written
            found.append(IndexFiles(number=number, files=stored))
        return tuple(found)

    def _tick(self, count: int) -> None:
        self._progress.check()
        self._progress.advance(count)
        self._renew()


class _TableWriter:
    """Uploads segments while the next ones are being cut, a few at a time."""

    def __init__(self, blobs: BlobStore, uploads: ThreadPoolExecutor, tick: Callable[[int], None]) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._tick = tick
        self.new_bytes = 0

    def put(self, content: bytes) -> Blob:
        blob, written = self._blobs.put(content)
        self.new_bytes += written
        return blob

    def write(
        self, plan: SegmentPlan, cut: Callable[[int, int], Iterator[tuple[int, int, int, bytes]]]
    ) -> tuple[RowSegment, ...]:
        segments = list(plan.kept)
        waiting: deque[Future[RowSegment]] = deque()
        try:
            for gap in plan.gaps:
                for first, last, rows, content in cut(*gap):
                    self._tick(len(content))
                    if len(waiting) == _UPLOADS:
                        segments.append(waiting.popleft().result())
                    waiting.append(self._uploads.submit(self._segment, first, last, rows, content))
            segments += [future.result() for future in waiting]
        finally:
            for future in waiting:
                future.cancel()
        return tuple(sorted(segments, key=lambda segment: segment.first))

    def _segment(self, first: int, last: int, rows: int, content: bytes) -> RowSegment:
        return RowSegment(first=first, last=last, rows=rows, blob=self.put(content))


def _plan(base: Sequence[RowSegment], keys: RowNumbers, last: int, row_bytes: int) -> SegmentPlan:
    return plan_segments(
        base, lambda start, end: _within(keys, start, end), int(keys[0]) if len(keys) else 1, last, row_bytes
    )


def _within(keys: RowNumbers, first: int, last: int) -> int:
    return max(0, int(np.searchsorted(keys, last, "right") - np.searchsorted(keys, first, "left")))


def _cut_versions(versions: Iterator[StoredVersion]) -> Iterator[tuple[int, int, int, bytes]]:
    some: list[StoredVersion] = []
    size = 0
    for one in versions:
        some.append(one)
        size += len(one.vector) + len(one.body) + len(one.attributes) + len(one.labels) + len(one.id) + len(one.item)
        if size >= SEGMENT_BYTES:
            yield some[0].row, some[-1].row, len(some), versions_segment(some)
            some, size = [], 0
    if some:
        yield some[0].row, some[-1].row, len(some), versions_segment(some)


def _cut_requests(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[int, int, int, bytes]]:
    for start in range(first, last + 1, _SEGMENT_REQUESTS):
        some = list(applied_requests(connection, SHARD, start, min(last, start + _SEGMENT_REQUESTS - 1)))
        if some:
            yield some[0][1].revision.sequence, some[-1][1].revision.sequence, len(some), requests_segment(some)
