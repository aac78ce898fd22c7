"""Reads snapshots: to compare them with their checksums, or to make collections of them."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from google.protobuf import json_format
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.operations.progress import Progress
from picoseek_search.snapshots.blob_store import damaged
from picoseek_search.snapshots.live_rows import unpack_rows
from picoseek_search.snapshots.manifest import Blob, Manifest
from picoseek_search.snapshots.snapshot_library import SnapshotLibrary, snapshot_not_found
from picoseek_search.storage.documents import RowNumbers
from picoseek_search.storage.history import History
from picoseek_search.storage.log import Revision
from picoseek_search.storage.restored_database import RestoredDatabase

_SHARD = 0
_DOWNLOADS = 3
_RETRY_AFTER_FULL_S = 5.0

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


def check_replaceable(manifest: Manifest, catalog: Catalog, target: str) -> None:
    """Refuse to put a snapshot in the place of another collection whose vectors are of another embedding space.

    Raises:
        ServiceError: EMBEDDING_SPACE_MISMATCH.
    """
    try:
        replaced = catalog.get(target).specification
    except ServiceError:
        # There is none, or none that can be read.
        return
    own = _settings(manifest)
    if replaced.name != own.name and replaced.space != own.space.digest:
        raise errors.failed_precondition(
            "EMBEDDING_SPACE_MISMATCH",
            f"the snapshot's vectors are of space {own.space.digest[:80]!r} and collection {target!r} is of "
            f"{replaced.space!r}: its callers could not search it any more; choose another target, or delete "
            f"{target!r} first",
            space=own.space.digest[:80],
            collection_space=replaced.space,
        )


def _settings(manifest: Manifest) -> collection_pb2.Collection:
    return json_format.ParseDict(manifest.settings, collection_pb2.Collection(), ignore_unknown_fields=True)


class SnapshotReader:
    """Reads one snapshot. What is missing or not what was written is named in an error, before anything rests on it."""

    def __init__(self, library: SnapshotLibrary, collection: str, name: str, progress: Progress) -> None:
        """Make a reader.

        Args:
            library: where from.
            collection: Snapshot.collection.
            name: Snapshot.name.
            progress: told of the bytes that are read; may stop it.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED.
        """
        self._library = library
        self._collection = collection
        self._name = name
        self._progress = progress
        self._manifest, _ = library.get(collection, name)
        self._blobs = library.blobs(collection)

    def verify(self) -> None:
        """Read everything and compare it with its checksums.

        Raises:
            ServiceError: SNAPSHOT_DAMAGED, SNAPSHOT_NOT_FOUND, SNAPSHOT_STORE_UNAVAILABLE, SNAPSHOT_STORE_REFUSED.
            OperationStoppedError: it was stopped.
        """
        self._progress.expect(self._manifest.size_bytes)
        with self._named(), ThreadPoolExecutor(_DOWNLOADS, "verify") as threads:
            for _ in _in_order(threads, lambda part: self._blobs.check(*part, self._tick), _parts(self._manifest)):
                self._progress.check()

    def restore(self, catalog: Catalog, target: str, *, overwrite: bool) -> Collection:
        """Make a collection of it; it exists when all of it is on disk.

        Args:
            catalog: where to.
            target: name of the collection.
            overwrite: put it in the place of the one that has this name, if there is one.

        Raises:
            ServiceError: what verify() raises; COLLECTION_EXISTS, ALIAS_EXISTS, EMBEDDING_SPACE_MISMATCH,
                RESTORE_SUPERSEDED, DISK_FULL.
            OperationStoppedError: it was stopped. Whatever the reason, everything is as it was then.
        """
        catalog.check_target(target, overwrite=overwrite)
        check_replaceable(self._manifest, catalog, target)
        self._progress.expect(self._manifest.size_bytes)
        settings = _settings(self._manifest)
        settings.name = target
        now_ms = time.time_ns() // 1_000_000
        settings.updated_at.FromMilliseconds(now_ms)
        history, epoch = self._life(catalog, target, now_ms)
        path = catalog.reserve()
        try:
            with self._named(), _room(target):
                self._fetch_indexes(path / "index")
                self._fill(path / "documents.sqlite3", epoch)
            self._progress.check()
            return catalog.publish(path, settings, history, overwrite=overwrite)
        except BaseException:
            catalog.abandon(path)
            raise

    def _life(self, catalog: Catalog, target: str, now_ms: int) -> tuple[History, int]:
        """Return where the writes come from, and the epoch that begins: one that no other restore of them has had."""
        manifest = self._manifest
        history = History(manifest.origin, manifest.ended).restored(Revision(manifest.epoch, manifest.sequence))
        epoch = max(now_ms, manifest.epoch + 1)
        try:
            replaced = catalog.get(target)
        except ServiceError:
            return history, epoch
        if replaced.history.origin != manifest.origin:
            # Revisions of what is replaced must not be taken for revisions of this.
            history = History(manifest.origin)
        return history, max(epoch, replaced.shard.snapshot.revision.epoch + 1)

    def _fetch_indexes(self, folder: Path) -> None:
        for index in self._manifest.indexes:
            for suffix, blob in index.files.items():
                stem = folder / f"{index.number:012d}"
                self._blobs.fetch(blob, stem.with_suffix(suffix), f"index {index.number}", self._tick)

    def _fill(self, path: Path, epoch: int) -> None:
        manifest = self._manifest
        database = RestoredDatabase(path, _SHARD)
        try:
            live = unpack_rows(self._read((manifest.live, "the list of documents")))
            added = 0
            with ThreadPoolExecutor(_DOWNLOADS, "restore") as threads:
                parts = [
                    (segment.blob, f"segment of documents {segment.first}") for segment in manifest.document_segments
                ]
                contents = _in_order(threads, self._read, parts)
                for segment, content in zip(manifest.document_segments, contents, strict=True):
                    added += database.add_versions(content, _between(live, segment.first, segment.last))
                    self._progress.check()
                parts = [
                    (segment.blob, f"segment of requests {segment.first}") for segment in manifest.request_segments
                ]
                for content in _in_order(threads, self._read, parts):
                    database.add_requests(content, manifest.first_request)
                    self._progress.check()
            if not added == len(live) == manifest.documents:
                raise damaged(f"it has {added} of {manifest.documents} documents", f"{self._collection}/{self._name}")
            database.finish(Revision(epoch, manifest.sequence), manifest.next_row)
        finally:
            database.close()

    def _read(self, part: tuple[Blob, str]) -> bytes:
        content = self._blobs.read(*part)
        self._tick(len(content))
        return content

    def _tick(self, count: int) -> None:
        self._progress.check()
        self._progress.advance(count)

    @contextmanager
    def _named(self) -> Generator[None]:
        """Tell a snapshot that was deleted meanwhile from one that is damaged, and say which it is."""
        try:
            yield
        except ServiceError as error:
            if error.reason == "SNAPSHOT_DAMAGED" and not self._library.exists(self._collection, self._name):
                raise snapshot_not_found(self._collection, self._name) from error
            raise


def _parts(manifest: Manifest) -> Iterable[tuple[Blob, str]]:
    names = {manifest.live.sha256: "the list of documents"}
    names |= {one.blob.sha256: f"segment of documents {one.first}" for one in manifest.document_segments}
    names |= {one.blob.sha256: f"segment of requests {one.first}" for one in manifest.request_segments}
    names |= {blob.sha256: f"index {index.number}" for index in manifest.indexes for blob in index.files.values()}
    return [(blob, names[sha256]) for sha256, blob in manifest.blobs().items()]


def _in_order(threads: ThreadPoolExecutor, read: Callable[[_Item], _Read], items: Iterable[_Item]) -> Iterator[_Read]:
    """Yield what reading some items gives, in their order, reading a few ahead."""
    waiting: deque[Future[_Read]] = deque()
    try:
        for item in items:
            if len(waiting) == _DOWNLOADS:
                yield waiting.popleft().result()
            waiting.append(threads.submit(read, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _between(rows: RowNumbers, first: int, last: int) -> RowNumbers:
    return rows[np.searchsorted(rows, first, "left") : np.searchsorted(rows, last, "right")]


@contextmanager
def _room(target: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise errors.resource_exhausted(
            "DISK_FULL",
            f"there is no room to restore {target!r} and nothing has changed; make room and ask again",
            retry_after_s=_RETRY_AFTER_FULL_S,
        ) from error
