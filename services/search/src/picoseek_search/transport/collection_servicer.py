"""picoseek.v1.CollectionService."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, collection_service_pb2_grpc

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.calls import Context, deadline_of
from picoseek_search.transport.page_token import decode_page_token, encode_page_token

_LOG = logging.getLogger(__name__)

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100
_LISTING = "collections"

HealthOf = Callable[[str, bool | None], Awaitable[None]]
"""Publishes whether a collection may be used; None: it is gone."""


class CollectionServicer(collection_service_pb2_grpc.CollectionServiceServicer):
    """Makes, describes and removes collections."""

    def __init__(self, catalog: Catalog, workers: Workers, admission: Admission, publish: HealthOf) -> None:
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
        collection = self._catalog.get(request.name)

        def describe() -> collection_pb2.GetCollectionResponse:
            return collection_pb2.GetCollectionResponse(collection=collection.describe())

        return await self._admission.run(self._workers.read, 1, deadline_of(context), describe)

    async def ListCollections(  # noqa: N802
        self, request: collection_pb2.ListCollectionsRequest, context: Context
    ) -> collection_pb2.ListCollectionsResponse:
        """See the contract."""
        after = decode_page_token(_LISTING, request.page_token)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def describe() -> collection_pb2.ListCollectionsResponse:
            response = collection_pb2.ListCollectionsResponse()
            names = [name for name, _ in self._catalog.names() if name > after]
            for name in names[:limit]:
                try:
                    response.collections.append(self._catalog.get(name).describe())
                except ServiceError as error:
                    # Removed meanwhile, or unreadable: the others are listed all the same.
                    _LOG.warning("collection %r is not listed in full: %s", name, error)
                    response.collections.add(name=name)
            if len(names) > limit:
                response.next_page_token = encode_page_token(_LISTING, names[limit - 1])
            return response

        return await self._admission.run(self._workers.read, 1, deadline_of(context), describe)

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
