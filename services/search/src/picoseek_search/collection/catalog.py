"""All collections of a node."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from dataclasses import astuple
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2

from picoseek_search.collection.collection import Collection, RunningRebuild, collection_not_found
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.rebuild_operations import RebuildOperations, already_running
from picoseek_search.collection.settings_update import SchemaChange, merged
from picoseek_search.collection.specification import Specification, check_alias_name, specify
from picoseek_search.collection.workers import Workers
from picoseek_search.operations.operation_store import OperationStore
from picoseek_search.operations.operations import Operations
from picoseek_search.storage.data_directory import DataDirectory
from picoseek_search.storage.history import History
from picoseek_search.storage.registry import RegisteredRebuild, Registration, Registry
from picoseek_search.storage.sqlite import corrupt

_KIND_PATHS = ("index.factory", "index.ef_construction")
_RETRY_AFTER_STOP_S = 1.0
_RETRY_AFTER_RESTORE_S = 0.1

_LOG = logging.getLogger(__name__)


class Catalog:
    """Makes, finds, changes and removes collections and their aliases, which share one name space.

    Methods block; call them in worker threads, but for get(), names(), real_name() and aliases().
    """

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
        self._aliases: dict[str, str] = {}
        self._named: dict[str, Collection | ServiceError] = {}
        """By name and by alias, so that one look tells what a call is about."""
        self._closed = False
        try:
            self._registry = Registry(self._directory.registry)
            for name in self._registry.discarded():
                self._discard(name)
            self.operations = self._open_operations()
            """Long work of the node."""
            self._rebuilds = RebuildOperations(self._registry, self.operations)
            self._open_all()
        except BaseException:
            self._directory.close()
            raise

    @property
    def uses_gpu(self) -> bool:
        """Whether indexes are copied to a GPU."""
        return self._options.gpu is not None

    def get(self, name: str) -> Collection:
        """Return the collection of a name or alias.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, or STORAGE_CORRUPT if it cannot be read.
        """
        found = self._named.get(name)
        if found is None:
            raise collection_not_found(name)
        if isinstance(found, ServiceError):
            raise found
        return found

    def names(self) -> list[tuple[str, bool]]:
        """Return the names of all collections, in order, and whether each can be used."""
        return [(name, isinstance(found, Collection)) for name, found in sorted(self._collections.items())]

    def describe(self, name: str) -> collection_pb2.Collection | None:
        """Return the collection of a name, with `problem` if it cannot be used; None: it was removed meanwhile."""
        found, registration = self._collections.get(name), self._registrations.get(name)
        if found is None or registration is None:
            return None
        try:
            if isinstance(found, Collection):
                return found.describe()
            problem = found
        except ServiceError as error:
            if error.reason == "COLLECTION_NOT_FOUND":
                return None
            problem = error
        described = collection_pb2.Collection()
        described.CopyFrom(registration.settings)
        described.name, described.problem = name, problem.message
        return described

    def real_name(self, name: str) -> str:
        """Return the name of the collection that an alias stands for, and any other name as it is."""
        return self._aliases.get(name, name)

    def aliases(self) -> list[tuple[str, str]]:
        """Return all aliases, in order, and the name of the collection of each."""
        return sorted(self._aliases.items())

    def create(self, request: collection_pb2.Collection, *, if_not_exists: bool) -> tuple[Collection, bool]:
        """Make a collection; returns it and whether it is new.

        Raises:
            ServiceError: COLLECTION_INVALID, COLLECTION_EXISTS, ALIAS_EXISTS, DISK_FULL.
        """
        specification = specify(request)
        name = specification.name
        with self._lock:
            if name in self._aliases:
                raise _names_alias(name, self._aliases[name])
            if name in self._collections:
                existing = self.get(name)
                if if_not_exists and specification.asks_the_same_as(existing.specification):
                    return existing, False
                raise errors.already_exists(
                    "COLLECTION_EXISTS",
                    f"there is a collection {name!r} already{', with other settings' if if_not_exists else ''}; "
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
            self._collections[name] = self._named[name] = collection
            return collection, True

    def reserve(self) -> Path:
        """Make the directory of a collection that is about to be put together; publish() or abandon() it.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT.
        """
        directory = uuid.uuid4().hex
        self._registry.reserve(directory)
        return self._directory.make(directory)

    def abandon(self, path: Path) -> None:
        """Remove what reserve() has made and publish() has not taken."""
        self._discard(path.name)

    def check_target(self, name: str, *, overwrite: bool) -> Registration | None:
        """Return what publish() would put another collection in the place of.

        Raises:
            ServiceError: COLLECTION_EXISTS, or ALIAS_EXISTS.
        """
        if name in self._aliases:
            raise _names_alias(name, self._aliases[name])
        found = self._registrations.get(name)
        if found is not None and not overwrite:
            raise errors.already_exists(
                "COLLECTION_EXISTS",
                f"there is a collection {name!r} already; choose another name, or ask to overwrite it",
                collection=name,
            )
        return found

    def publish(
        self, path: Path, settings: collection_pb2.Collection, history: History, *, overwrite: bool
    ) -> Collection:
        """Make a collection exist whose files are complete; one of its name is replaced for all calls from then on.

        Args:
            path: what reserve() has returned.
            settings: as the registry keeps them.
            history: where its writes come from.
            overwrite: replace the collection of that name, if there is one.

        Raises:
            ServiceError: COLLECTION_EXISTS, ALIAS_EXISTS, COLLECTION_INVALID, STORAGE_CORRUPT, DISK_FULL,
                SHUTTING_DOWN; RESTORE_SUPERSEDED, another restore of that name came first. Nothing has changed then.
        """
        registration = Registration(path.name, settings)
        name = settings.name
        collection = self._opened(registration, None, history)
        old: Collection | ServiceError | None = None
        try:
            with self._lock:
                if self._closed:
                    raise _shutting_down()
                replaced = self.check_target(name, overwrite=overwrite)
                old = self._collections.get(name)
                if isinstance(old, Collection):
                    if old.shard.snapshot.revision.epoch >= collection.shard.snapshot.revision.epoch:
                        raise errors.aborted(
                            "RESTORE_SUPERSEDED",
                            f"another restore of {name!r} came first; look at it and decide anew",
                            collection=name,
                        )
                    self._rebuilds.end(old)
                self._registry.put(registration, history, replaced)
                self._registrations[name] = registration
                self._collections[name] = self._named[name] = collection
                self._named |= {alias: collection for alias, target in self._aliases.items() if target == name}
        except BaseException:
            collection.close(lambda: collection_not_found(name))
            raise
        if isinstance(old, Collection):
            old.close(lambda: _restored(name))
        if replaced is not None:
            self._discard(replaced.directory)
        return collection

    def update(self, request: collection_pb2.Collection, mask: FieldMask, *, etag: str) -> tuple[Collection, str]:
        """Change settings; returns the collection and the id of the operation that builds its index anew, or "".

        The index kind changes when that operation ends, everything else at once.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, NAME_IS_ALIAS, ETAG_MISMATCH, UPDATE_MASK_INVALID, COLLECTION_INVALID,
                SCHEMA_IN_USE, REBUILD_RUNNING, OVERLOADED, DISK_FULL.
        """
        self._refuse_alias(request.name)
        collection = self.get(request.name)
        with collection.settings_lock:
            current = collection.specification
            _check_etag(current, etag)
            wanted = specify(merged(current.settings, request, mask))
            rebuild, is_new = self._wanted_rebuild(collection, wanted, mask)
            if rebuild is not None:
                index = current.settings.index
                wanted.settings.index.factory = index.factory
                wanted.settings.index.ef_construction = index.ef_construction
            registered = RegisteredRebuild(*astuple(rebuild)) if rebuild is not None and is_new else None
            if not wanted.asks_the_same_as(current):
                self._change(collection, wanted.settings, registered)
            elif registered is not None and not self._registry.change(
                collection.identity, current.settings, registered
            ):
                raise collection_not_found(current.name)
            if rebuild is not None and is_new:
                try:
                    self._rebuilds.begin(collection, rebuild)
                except BaseException:
                    self._registry.end_rebuild(collection.identity)
                    self._change(collection, current.settings, None)
                    raise
            return collection, "" if rebuild is None else rebuild.operation_id

    def delete(self, name: str, *, etag: str) -> int:
        """Remove a collection; returns the documents that are gone. One that cannot be read can be removed, too.

        Raises:
            ServiceError: COLLECTION_NOT_FOUND, NAME_IS_ALIAS, COLLECTION_HAS_ALIASES, ETAG_MISMATCH, DISK_FULL.
        """
        self._refuse_alias(name)
        with self._lock:
            found = self._collections.get(name)
            if found is None:
                raise collection_not_found(name)
            if isinstance(found, Collection):
                _check_etag(found.specification, etag)
            aliases = [alias for alias, target in self.aliases() if target == name]
            if aliases:
                raise errors.failed_precondition(
                    "COLLECTION_HAS_ALIASES",
                    f"collection {name!r} is named by alias {', '.join(map(repr, aliases))}; "
                    "move it to another collection or delete it first",
                    collection=name,
                    aliases=",".join(aliases),
                )
            registration = self._registrations[name]
            self._registry.remove(registration)
            del self._collections[name], self._registrations[name], self._named[name]
            documents = 0
            if isinstance(found, Collection):
                self._rebuilds.end(found)
                found.close(lambda: collection_not_found(name))
                documents = found.shard.snapshot.live_rows
            self._discard(registration.directory)
            return documents

    def set_alias(self, name: str, collection: str, *, expected: str = "") -> str:
        """Make or move an alias; returns the collection that it named before, or "".

        Calls that begin from then on are about the other collection; those under way stay with theirs.

        Raises:
            ServiceError: ALIAS_INVALID, COLLECTION_EXISTS, COLLECTION_NOT_FOUND, NAME_IS_ALIAS, ALIAS_MISMATCH,
                STORAGE_CORRUPT, DISK_FULL.
        """
        check_alias_name(name)
        self._refuse_alias(collection)
        with self._lock:
            if name in self._collections:
                raise errors.already_exists(
                    "COLLECTION_EXISTS", f"{name!r} is the name of a collection; choose another alias", collection=name
                )
            found = self._collections.get(collection)
            if found is None:
                raise collection_not_found(collection)
            if isinstance(found, ServiceError):
                raise found
            previous = self._aliases.get(name, "")
            if expected and previous != expected:
                now = f"names {previous!r}" if previous else "does not exist"
                raise errors.aborted(
                    "ALIAS_MISMATCH",
                    f"alias {name!r} {now} instead of naming {expected!r}; look again and decide anew",
                    alias=name,
                    collection=previous,
                )
            if previous != collection:
                self._registry.set_alias(name, collection)
            self._aliases[name] = collection
            self._named[name] = found
            return previous

    def delete_alias(self, name: str) -> None:
        """Remove an alias.

        Raises:
            ServiceError: ALIAS_NOT_FOUND, DISK_FULL.
        """
        with self._lock:
            if name not in self._aliases:
                raise errors.not_found(
                    "ALIAS_NOT_FOUND",
                    f"there is no alias {name!r}; ListAliases (`picoseek collection alias list`) names those there are",
                    alias=name,
                )
            self._registry.remove_alias(name)
            del self._aliases[name], self._named[name]

    def close(self) -> None:
        """Interrupt long work and close all collections; calls that come after it are refused with SHUTTING_DOWN."""
        self.operations.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for found in self._collections.values():
                if isinstance(found, Collection):
                    found.close(_shutting_down)
            self._registry.close()
            self._directory.close()

    def _open_all(self) -> None:
        rebuilds = self._registry.rebuilds()
        histories = self._registry.histories()
        for registration, damage in self._registry.all():
            name = registration.settings.name
            self._registrations[name] = registration
            if damage is not None:
                _LOG.error("collection %r is set aside: %s", name, damage)
                self._collections[name] = damage
                continue
            registered = rebuilds.get(registration.directory)
            rebuild = None if registered is None else RunningRebuild(*astuple(registered))
            try:
                collection = self._opened(registration, rebuild, histories.get(registration.directory))
                self._collections[name] = collection
                if rebuild is not None:
                    self._rebuilds.go_on(collection, rebuild)
            except ServiceError as error:
                _LOG.error("collection %r is set aside: %s", name, error)
                self._collections[name] = error
        self._named = dict(self._collections)
        for alias, target in self._registry.aliases().items():
            if isinstance(target, ServiceError):
                _LOG.error("alias %r is set aside: %s", alias, target)
                self._named.setdefault(alias, target)
            else:
                self._aliases[alias] = target
                self._named[alias] = self._collections.get(target) or collection_not_found(target)
        self.operations.fail_interrupted()

    def _open_operations(self) -> Operations:
        def read() -> Operations:
            store = OperationStore(self._directory.operations)
            try:
                return Operations(
                    store,
                    threads=self._options.operation_threads,
                    max_waiting=self._options.max_waiting_operations,
                    keep=self._options.keep_operations,
                )
            except BaseException:
                # One that is left open removes files of the next one of its name.
                store.close()
                raise

        try:
            return read()
        except ServiceError as error:
            if error.reason != "STORAGE_CORRUPT":
                raise
            # Nothing depends on it: what has to go on is in the registry.
            _LOG.error("operations are forgotten: %s", error)
            self._directory.set_aside(self._directory.operations)
            return read()

    def _opened(
        self, registration: Registration, rebuild: RunningRebuild | None, history: History | ServiceError | None
    ) -> Collection:
        if isinstance(history, ServiceError):
            raise history
        specification = specify(registration.settings)
        specification.settings.CopyFrom(registration.settings)
        path = self._directory.collections / registration.directory
        try:
            collection = Collection(path, specification, self._options, self._workers, create=False, rebuild=rebuild)
        except sqlite3.Error as error:
            raise corrupt(path, str(error)) from error
        collection.history = history or collection.history
        return collection

    def _wanted_rebuild(
        self, collection: Collection, wanted: Specification, mask: FieldMask
    ) -> tuple[RunningRebuild | None, bool]:
        """Return the rebuild that a change calls for, and whether it is to begin."""
        running = collection.rebuild
        index = wanted.settings.index
        is_kind_as_now = wanted.kind.builds_like(collection.specification.kind)
        if running is not None:
            # Whoever sends back the whole index as it is shown, with other defaults, says nothing of its kind.
            is_kind_named = any(path in _KIND_PATHS for path in mask.paths) or (
                "index" in mask.paths and not is_kind_as_now
            )
            if is_kind_named and not wanted.kind.builds_like(running.kind):
                raise already_running(wanted.name, running)
            return (running, False) if is_kind_named else (None, False)
        if is_kind_as_now:
            return None, False
        return RunningRebuild(Operations.new_id(), index.factory, index.ef_construction), True

    def _change(
        self, collection: Collection, settings: collection_pb2.Collection, rebuild: RegisteredRebuild | None
    ) -> None:
        current = collection.specification
        wanted = specify(settings)
        change = SchemaChange.between(current, wanted)
        wanted = current.changed(settings, current.schema_version + change.is_narrowing)

        def commit() -> None:
            if not self._registry.change(collection.identity, wanted.settings, rebuild):
                raise collection_not_found(wanted.name)
            collection.specification = wanted

        collection.shard.change_schema(wanted.schema, wanted.schema_version, change.checker(), commit)

    def _refuse_alias(self, name: str) -> None:
        target = self._aliases.get(name)
        if target is not None:
            raise errors.failed_precondition(
                "NAME_IS_ALIAS",
                f"{name!r} is an alias; name the collection itself, {target!r}",
                alias=name,
                collection=target,
            )

    def _discard(self, directory: str) -> None:
        self._directory.remove(directory)
        self._registry.forget(directory)


def _check_etag(specification: Specification, etag: str) -> None:
    if etag and etag != specification.etag:
        raise errors.aborted(
            "ETAG_MISMATCH",
            f"collection {specification.name!r} was changed meanwhile; read it again and decide anew",
            collection=specification.name,
            etag=specification.etag,
        )


def _names_alias(name: str, collection: str) -> ServiceError:
    return errors.already_exists(
        "ALIAS_EXISTS",
        f"{name!r} is an alias of collection {collection!r}; choose another name, or delete it first",
        alias=name,
        collection=collection,
    )


def _restored(name: str) -> ServiceError:
    return errors.unavailable(
        "COLLECTION_RESTORED",
        f"collection {name!r} was restored from a snapshot meanwhile; send it again",
        retry_after_s=_RETRY_AFTER_RESTORE_S,
    )


def _shutting_down() -> ServiceError:
    return errors.unavailable(
        "SHUTTING_DOWN", "the service is stopping; send it again", retry_after_s=_RETRY_AFTER_STOP_S
    )
