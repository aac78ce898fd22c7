"""Changes of index kinds as operations: begun, gone on with after a restart, tidied up."""

from __future__ import annotations

from picoseek_chassis import errors
from picoseek_protos.v1 import operation_pb2

from picoseek_search.collection.collection import Collection, RunningRebuild, collection_not_found
from picoseek_search.operations.operations import Operations, has_ended
from picoseek_search.operations.progress import Progress
from picoseek_search.storage.registry import Registry


class RebuildOperations:
    """A collection's rebuild is in the registry, together with what else was changed, before its operation begins.

    So a crash leaves either nothing or something to go on with. The row goes when the operation has ended.
    """

    def __init__(self, registry: Registry, operations: Operations) -> None:
        self._registry = registry
        self._operations = operations

    def begin(self, collection: Collection, rebuild: RunningRebuild) -> None:
        """Begin what is in the registry.

        Raises:
            ServiceError: OVERLOADED, SHUTTING_DOWN, DISK_FULL.
        """
        collection.rebuild = rebuild
        try:
            self._operations.start(
                operation_pb2.OPERATION_KIND_REBUILD,
                collection.specification.name,
                lambda progress: self._run(collection, rebuild, progress),
                unit="documents",
                id_=rebuild.operation_id,
                on_end=lambda: self._tidy_up(collection, rebuild),
            )
        except BaseException:
            collection.rebuild = None
            raise

    def go_on(self, collection: Collection, rebuild: RunningRebuild) -> None:
        """Go on with what a stop of the service has interrupted, or tidy up if it had ended.

        Raises:
            ServiceError: OVERLOADED or DISK_FULL.
        """
        operation = self._operations.find(rebuild.operation_id)
        if operation is None:
            self.begin(collection, rebuild)
        elif has_ended(operation):
            self._tidy_up(collection, rebuild)
        else:
            collection.rebuild = rebuild
            self._operations.resume(
                rebuild.operation_id,
                lambda progress: self._run(collection, rebuild, progress),
                on_end=lambda: self._tidy_up(collection, rebuild),
            )

    def end(self, collection: Collection) -> None:
        """Cancel a collection's rebuild, if there is one, and return when it has stopped."""
        rebuild = collection.rebuild
        if rebuild is not None:
            ended = self._operations.when_ended(rebuild.operation_id)
            self._operations.cancel(rebuild.operation_id)
            ended.result()

    def _run(self, collection: Collection, rebuild: RunningRebuild, progress: Progress) -> str:
        name = collection.specification.name
        if not collection.specification.kind.builds_like(rebuild.kind):
            collection.shard.rebuild(rebuild.kind, progress, lambda: self._commit(collection, rebuild))
        return name

    def _commit(self, collection: Collection, rebuild: RunningRebuild) -> None:
        with collection.settings_lock:
            wanted = collection.specification.indexed_as(rebuild.factory, rebuild.ef_construction)
            if not self._registry.change(collection.identity, wanted.settings):
                raise collection_not_found(wanted.name)
            collection.specification = wanted

    def _tidy_up(self, collection: Collection, rebuild: RunningRebuild) -> None:
        with collection.settings_lock:
            if not collection.specification.kind.builds_like(rebuild.kind):
                collection.shard.forget_rebuild()
            self._registry.end_rebuild(collection.identity)
            collection.rebuild = None


def already_running(collection: str, rebuild: RunningRebuild) -> errors.ServiceError:
    """Return the error for a change of the index kind while there is another one."""
    return errors.failed_precondition(
        "REBUILD_RUNNING",
        f"collection {collection!r} is being rebuilt as {rebuild.factory!r} by operation {rebuild.operation_id}; "
        "wait until it has ended, or cancel it",
        collection=collection,
        operation=rebuild.operation_id,
    )
