"""picoseek.v1.CollectionService."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, collection_service_pb2_grpc, operation_pb2, snapshot_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.alias_calls import AliasCalls
from picoseek_search.transport.calls import Context, deadline_of, on_collection
from picoseek_search.transport.operation_calls import OperationCalls
from picoseek_search.transport.page_token import decode_page_token, encode_page_token
from picoseek_search.transport.process_memory import process_memory_bytes
from picoseek_search.transport.snapshot_calls import SnapshotCalls

_LOG = logging.getLogger(__name__)

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100
_LISTING = "collections"

HealthOf = Callable[[str, bool | None], Awaitable[None]]
"""Publishes whether a collection may be used; None: it is gone."""


class CollectionServicer(collection_service_pb2_grpc.CollectionServiceServicer):
    """Makes, describes, changes and removes collections, and passes on calls about aliases, operations, snapshots."""

    def __init__(
        self,
        catalog: Catalog,
        workers: Workers,
        admission: Admission,
        publish: HealthOf,
        aliases: AliasCalls,
        operations: OperationCalls,
        snapshots: SnapshotCalls,
    ) -> None:
        """Serve the collections of a node; `publish` tells whether one may be used."""
        self._aliases = aliases
        self._operations = operations
        self._snapshots = snapshots
        self._catalog = catalog
        self._workers = workers
        self._admission = admission
        self._publish = publish

    async def CreateCollection(  # noqa: N802
        self, request: collection_pb2.CreateCollectionRequest, context: Context
    ) -> collection_pb2.CreateCollectionResponse:
        """See the contract."""

        def create() -> collection_pb2.CreateCollectionResponse:
            collection, created = self._catalog.create(request.collection, if_not_exists=request.if_not_exists)
            return collection_pb2.CreateCollectionResponse(collection=collection.describe(), created=created)

        response = await self._admission.run(self._workers.write, 1, deadline_of(context), create)
        await self._publish(response.collection.name, True)
        return response

    async def GetCollection(  # noqa: N802
        self, request: collection_pb2.GetCollectionRequest, context: Context
    ) -> collection_pb2.GetCollectionResponse:
        """See the contract."""
        deadline = deadline_of(context)

        async def answer(collection: Collection) -> collection_pb2.GetCollectionResponse:
            described = await self._admission.run(self._workers.read, 1, deadline, collection.describe)
            return collection_pb2.GetCollectionResponse(
                collection=described, process_memory_bytes=process_memory_bytes()
            )

        return await on_collection(self._catalog, request.name, answer)

    async def ListCollections(  # noqa: N802
        self, request: collection_pb2.ListCollectionsRequest, context: Context
    ) -> collection_pb2.ListCollectionsResponse:
        """See the contract."""
        after = decode_page_token(_LISTING, request.page_token)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def describe() -> collection_pb2.ListCollectionsResponse:
            response = collection_pb2.ListCollectionsResponse()
            names = [name for name, _ in self._catalog.names() if name > after]
            described = [self._catalog.describe(name) for name in names[:limit]]
            response.collections.extend(one for one in described if one is not None)
            if len(names) > limit:
                response.next_page_token = encode_page_token(_LISTING, names[limit - 1])
            return response

        return await self._admission.run(self._workers.read, 1, deadline_of(context), describe)

    async def UpdateCollection(  # noqa: N802
        self, request: collection_pb2.UpdateCollectionRequest, context: Context
    ) -> collection_pb2.UpdateCollectionResponse:
        """See the contract."""

        def update() -> collection_pb2.UpdateCollectionResponse:
            collection, operation_id = self._catalog.update(request.collection, request.update_mask, etag=request.etag)
            return collection_pb2.UpdateCollectionResponse(collection=collection.describe(), operation_id=operation_id)

        return await self._admission.run(self._workers.write, 1, deadline_of(context), update)

    async def DeleteCollection(  # noqa: N802
        self, request: collection_pb2.DeleteCollectionRequest, context: Context
    ) -> collection_pb2.DeleteCollectionResponse:
        """See the contract."""

        def delete() -> collection_pb2.DeleteCollectionResponse:
            try:
                count = self._catalog.delete(request.name, etag=request.etag)
            except ServiceError as error:
                if request.allow_missing and error.reason == "COLLECTION_NOT_FOUND":
                    return collection_pb2.DeleteCollectionResponse()
                raise
            return collection_pb2.DeleteCollectionResponse(deleted_documents=count)

        response = await self._admission.run(self._workers.write, 1, deadline_of(context), delete)
        await self._publish(request.name, None)
        return response

    async def SetAlias(  # noqa: N802
        self, request: collection_pb2.SetAliasRequest, context: Context
    ) -> collection_pb2.SetAliasResponse:
        """See the contract."""
        return await self._aliases.set(request, deadline_of(context))

    async def DeleteAlias(  # noqa: N802
        self, request: collection_pb2.DeleteAliasRequest, context: Context
    ) -> collection_pb2.DeleteAliasResponse:
        """See the contract."""
        return await self._aliases.delete(request, deadline_of(context))

    async def ListAliases(  # noqa: N802
        self, request: collection_pb2.ListAliasesRequest, context: Context
    ) -> collection_pb2.ListAliasesResponse:
        """See the contract."""
        return await self._aliases.list(request, deadline_of(context))

    async def GetOperation(  # noqa: N802
        self, request: operation_pb2.GetOperationRequest, context: Context
    ) -> operation_pb2.GetOperationResponse:
        """See the contract."""
        return await self._operations.get(request, deadline_of(context))

    async def ListOperations(  # noqa: N802
        self, request: operation_pb2.ListOperationsRequest, context: Context
    ) -> operation_pb2.ListOperationsResponse:
        """See the contract."""
        return await self._operations.list(request, deadline_of(context))

    async def WaitOperation(  # noqa: N802
        self, request: operation_pb2.WaitOperationRequest, context: Context
    ) -> operation_pb2.WaitOperationResponse:
        """See the contract."""
        return await self._operations.wait(request, deadline_of(context))

    async def CancelOperation(  # noqa: N802
        self, request: operation_pb2.CancelOperationRequest, context: Context
    ) -> operation_pb2.CancelOperationResponse:
        """See the contract."""
        return await self._operations.cancel(request, deadline_of(context))

    async def CreateSnapshot(  # noqa: N802
        self, request: snapshot_pb2.CreateSnapshotRequest, context: Context
    ) -> snapshot_pb2.CreateSnapshotResponse:
        """See the contract."""
        return await self._snapshots.create(request, deadline_of(context))

    async def GetSnapshot(  # noqa: N802
        self, request: snapshot_pb2.GetSnapshotRequest, context: Context
    ) -> snapshot_pb2.GetSnapshotResponse:
        """See the contract."""
        return await self._snapshots.get(request, deadline_of(context))

    async def ListSnapshots(  # noqa: N802
        self, request: snapshot_pb2.ListSnapshotsRequest, context: Context
    ) -> snapshot_pb2.ListSnapshotsResponse:
        """See the contract."""
        return await self._snapshots.list(request, deadline_of(context))

    async def VerifySnapshot(  # noqa: N802
        self, request: snapshot_pb2.VerifySnapshotRequest, context: Context
    ) -> snapshot_pb2.VerifySnapshotResponse:
        """See the contract."""
        return await self._snapshots.verify(request, deadline_of(context))

    async def RestoreSnapshot(  # noqa: N802
        self, request: snapshot_pb2.RestoreSnapshotRequest, context: Context
    ) -> snapshot_pb2.RestoreSnapshotResponse:
        """See the contract."""
        return await self._snapshots.restore(request, deadline_of(context))

    async def DeleteSnapshot(  # noqa: N802
        self, request: snapshot_pb2.DeleteSnapshotRequest, context: Context
    ) -> snapshot_pb2.DeleteSnapshotResponse:
        """See the contract."""
        return await self._snapshots.delete(request, deadline_of(context))
