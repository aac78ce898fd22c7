"""Snapshots as a caller sees them: what takes long is an operation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from picoseek_chassis import errors
from picoseek_protos.v1 import operation_pb2, snapshot_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.operations.operations import Operations, Work
from picoseek_search.operations.progress import Progress
from picoseek_search.snapshots.manifest import Manifest
from picoseek_search.snapshots.snapshot_library import (
    ListedSnapshot,
    SnapshotLibrary,
    check_name,
    snapshot_exists,
    snapshot_not_found,
)
from picoseek_search.snapshots.snapshot_reader import SnapshotReader, check_replaceable
from picoseek_search.snapshots.snapshot_writer import SnapshotWriter


class SnapshotOperations:
    """Creates, lists, verifies, restores and deletes snapshots. Methods block; call them in worker threads.

    What begins an operation checks first whatever can be known at once. A repeated `request_id` returns the operation
    of the first call.
    """

    def __init__(self, library: SnapshotLibrary, catalog: Catalog, appeared: Callable[[str], None]) -> None:
        """Work on the collections of a node.

        Args:
            library: where snapshots are.
            catalog: collections, and operations.
            appeared: told the name of a collection that was restored, in any thread.
        """
        self._library = library
        self._catalog = catalog
        self._operations: Operations = catalog.operations
        self._appeared = appeared

    def create(self, request: snapshot_pb2.CreateSnapshotRequest) -> operation_pb2.Operation:
        """Begin to write a snapshot.

        Raises:
            ServiceError: SNAPSHOT_INVALID, COLLECTION_NOT_FOUND, SNAPSHOT_EXISTS, OVERLOADED, DISK_FULL.
        """
        self._check_location(request.location)
        if request.name:
            check_name("name", request.name)
        collection = self._catalog.get(request.collection)
        name = collection.specification.name
        id_ = _operation_id("create", request.request_id, name, request.name)
        known = self._operations.find(id_) if id_ else None
        if known is not None:
            return known
        if request.name and self._library.exists(name, request.name):
            raise snapshot_exists(name, request.name)

        def work(progress: Progress) -> str:
            return SnapshotWriter(self._library, collection, progress).write(request.name)

        return self._start(operation_pb2.OPERATION_KIND_CREATE_SNAPSHOT, name, work, id_=id_)

    def get(self, collection: str, name: str) -> snapshot_pb2.Snapshot:
        """Describe a snapshot.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED.
        """
        manifest, digest = self._library.get(self._catalog.real_name(collection), name)
        return self._described(manifest, digest)

    def list(self, collection: str) -> list[snapshot_pb2.Snapshot]:
        """Describe a collection's snapshots, or all if it is empty, newest first; unreadable ones come last.

        Raises:
            ServiceError: SNAPSHOT_INVALID.
        """
        if collection:
            check_name("collection", collection)
        names = [self._catalog.real_name(collection)] if collection else self._library.collections()
        listed = sorted((one for name in names for one in self._library.of(name)), key=_age)
        return [self._described(one.manifest, one.digest) if one.manifest else self._unreadable(one) for one in listed]

    def verify(self, request: snapshot_pb2.VerifySnapshotRequest) -> operation_pb2.Operation:
        """Begin to compare a snapshot with its checksums.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED, OVERLOADED, DISK_FULL.
        """
        collection = self._catalog.real_name(request.collection)
        self._library.get(collection, request.snapshot)

        def work(progress: Progress) -> str:
            SnapshotReader(self._library, collection, request.snapshot, progress).verify()
            return request.snapshot

        return self._start(operation_pb2.OPERATION_KIND_VERIFY_SNAPSHOT, collection, work)

    def restore(self, request: snapshot_pb2.RestoreSnapshotRequest) -> operation_pb2.Operation:
        """Begin to make a collection of a snapshot.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED, COLLECTION_EXISTS, ALIAS_EXISTS,
                EMBEDDING_SPACE_MISMATCH, OVERLOADED, DISK_FULL.
        """
        self._check_location(request.location)
        collection = self._catalog.real_name(request.collection)
        target = request.target or collection
        check_name("target", target)
        id_ = _operation_id("restore", request.request_id, collection, request.snapshot, target)
        known = self._operations.find(id_) if id_ else None
        if known is not None:
            return known
        manifest, _ = self._library.get(collection, request.snapshot)
        self._catalog.check_target(target, overwrite=request.overwrite)
        check_replaceable(manifest, self._catalog, target)

        def work(progress: Progress) -> str:
            reader = SnapshotReader(self._library, collection, request.snapshot, progress)
            reader.restore(self._catalog, target, overwrite=request.overwrite)
            self._appeared(target)
            return target

        return self._start(operation_pb2.OPERATION_KIND_RESTORE_SNAPSHOT, target, work, id_=id_)

    def delete(self, request: snapshot_pb2.DeleteSnapshotRequest) -> operation_pb2.Operation:
        """Begin to remove a snapshot, and what no other one needs.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, OVERLOADED, DISK_FULL.
        """
        collection, name = request.collection, request.snapshot
        check_name("collection", collection)
        check_name("snapshot", name)
        if not self._library.exists(collection, name):
            raise snapshot_not_found(collection, name)

        def work(progress: Progress) -> str:
            progress.check()
            self._library.remove(collection, name)
            self._library.collect(collection, progress)
            return name

        return self._start(operation_pb2.OPERATION_KIND_DELETE_SNAPSHOT, collection, work, unit="blobs")

    def _start(
        self,
        kind: operation_pb2.OperationKind.ValueType,
        collection: str,
        work: Work,
        *,
        unit: str = "bytes",
        id_: str = "",
    ) -> operation_pb2.Operation:
        return self._operations.start(kind, collection, work, unit=unit, id_=id_)

    def _check_location(self, location: str) -> None:
        if location not in ("", self._library.location):
            raise errors.invalid_argument(
                "SNAPSHOT_INVALID",
                f"location: it must be empty or {self._library.location!r}; "
                "where snapshots are is set by PICOSEEK_SEARCH_SNAPSHOTS",
                field="location",
            )

    def _described(self, manifest: Manifest, digest: str) -> snapshot_pb2.Snapshot:
        described = snapshot_pb2.Snapshot(
            name=manifest.name,
            collection=manifest.collection,
            location=self._library.location,
            documents=manifest.documents,
            size_bytes=manifest.size_bytes,
            digest=digest,
            new_bytes=manifest.new_bytes,
        )
        described.revision.epoch, described.revision.sequence = manifest.epoch, manifest.sequence
        described.created_at.FromDatetime(manifest.created_at)
        return described

    def _unreadable(self, listed: ListedSnapshot) -> snapshot_pb2.Snapshot:
        return snapshot_pb2.Snapshot(
            name=listed.name, collection=listed.collection, location=self._library.location, damage=listed.damage
        )


def _age(listed: ListedSnapshot) -> tuple[float, str, str]:
    moment = 0.0 if listed.manifest is None else listed.manifest.created_at.timestamp()
    return -moment, listed.collection, listed.name


def _operation_id(kind: str, request_id: str, *subject: str) -> str:
    """Return the id of the operation that a call of that request id begins; none if it has none."""
    if not request_id:
        return ""
    return hashlib.sha256("\0".join([kind, request_id, *subject]).encode()).hexdigest()[:16]
