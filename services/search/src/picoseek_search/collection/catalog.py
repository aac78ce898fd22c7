"""All collections of a node."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from pathlib import Path

from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2

from picoseek_search.collection.collection import Collection, collection_not_found
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.specification import specify
from picoseek_search.collection.workers import Workers
from picoseek_search.storage.data_directory import DataDirectory
from picoseek_search.storage.registry import Registration, Registry

_RETRY_AFTER_STOP_S = 1.0

_LOG = logging.getLogger(__name__)


class Catalog:
    """Makes, finds and removes collections. Methods block; call them in worker threads, but for get() and names()."""

    def __init__(self, root: Path, options: EngineOptions, workers: Workers) -> None:
        """Open all collections. One that cannot be read is set aside and answers with the cause; the others work.

        Raises:
            OSError: the directory cannot be used, or another process has it.
            ServiceError: STORAGE_CORRUPT or DISK_FULL, the list of collections cannot be read.
        """
        self._options = options
        self._workers = workers
        self._directory = DataDirectory(root)
        self._lock = threading.Lock()
        self._collections: dict[str, Collection | ServiceError] = {}
        self._registrations: dict[str, Registration] = {}
        self._closed = False
        try:
            self._registry = Registry(self._directory.registry)
            for name in self._registry.discarded():
                self._discard(name)
            for registration in self._registry.all():
                self._open(registration)
        except BaseException:
            self._directory.close()
            raise

    def get(self, name: str) -> Collection:
        """Return a collection.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, or STORAGE_CORRUPT if it cannot be read.
        """
        found = self._collections.get(name)
        if found is None:
            raise collection_not_found(name)
        if isinstance(found, ServiceError):
            raise found
        return found

    def names(self) -> list[tuple[str, bool]]:
        """Return the names of all collections, in order, and whether each can be used."""
        return [(name, isinstance(found, Collection)) for name, found in sorted(self._collections.items())]

    def create(self, request: collection_pb2.Collection, *, if_not_exists: bool) -> tuple[Collection, bool]:
        """Make a collection; returns it and whether it is new.

        Raises:
            ServiceError: COLLECTION_INVALID, COLLECTION_EXISTS, DISK_FULL.
        """
        specification = specify(request)
        name = specification.name
        with self._lock:
            if name in self._collections:
                existing = self.get(name)
                if if_not_exists and specification.asks_the_same_as(existing.specification):
                    return existing, False
                raise errors.already_exists(
                    "COLLECTION_EXISTS",
                    f"there is a collection {name!r} with {'other' if if_not_exists else 'its own'} settings already; "
                    "choose another name, or delete it first",
                    collection=name,
                )
            settings = specification.settings
            settings.created_at.FromNanoseconds(time.time_ns())
            settings.updated_at.CopyFrom(settings.created_at)
            registration = Registration(uuid.uuid4().hex, settings)
            self._registry.reserve(registration.directory)
            try:
                path = self._directory.make(registration.directory)
                collection = Collection(path, specification, self._options, self._workers, create=True)
            except BaseException:
                self._discard(registration.directory)
                raise
            try:
                self._registry.add(registration)
            except BaseException:
                collection.close(lambda: collection_not_found(name))
                self._discard(registration.directory)
                raise
            self._registrations[name] = registration
            self._collections[name] = collection
            return collection, True

    def delete(self, name: str, *, etag: str) -> int:
        """Remove a collection; returns the documents that are gone. One that cannot be read can be removed, too.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, ETAG_MISMATCH, DISK_FULL.
        """
        with self._lock:
            found = self._collections.get(name)
            if found is None:
                raise collection_not_found(name)
            if etag and isinstance(found, Collection) and etag != found.specification.etag:
                raise errors.aborted(
                    "ETAG_MISMATCH",
                    f"collection {name!r} was changed meanwhile; read it again and decide anew",
                    collection=name,
                    etag=found.specification.etag,
                )
            registration = self._registrations[name]
            self._registry.remove(registration)
            del self._collections[name], self._registrations[name]
            documents = 0
            if isinstance(found, Collection):
                found.close(lambda: collection_not_found(name))
                documents = found.shard.snapshot.live_rows
            self._discard(registration.directory)
            return documents

    def close(self) -> None:
        """Close all collections; calls that come after it are refused with SHUTTING_DOWN."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for found in self._collections.values():
                if isinstance(found, Collection):
                    found.close(_shutting_down)
            self._registry.close()
            self._directory.close()

    def _open(self, registration: Registration) -> None:
        name = registration.settings.name
        self._registrations[name] = registration
        path = self._directory.collections / registration.directory
        try:
            specification = specify(registration.settings)
            specification.settings.CopyFrom(registration.settings)
            self._collections[name] = Collection(path, specification, self._options, self._workers, create=False)
        except ServiceError as error:
            _LOG.error("collection %r is set aside: %s", name, error)
            self._collections[name] = error

    def _discard(self, directory: str) -> None:
        self._directory.remove(directory)
        self._registry.forget(directory)


def _shutting_down() -> ServiceError:
    return errors.unavailable(
        "SHUTTING_DOWN", "the service is stopping; send it again", retry_after_s=_RETRY_AFTER_STOP_S
    )
