"""Answers about aliases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from picoseek_protos.v1 import collection_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.page_token import decode_page_token, encode_page_token

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100
_LISTING = "aliases"


class AliasCalls:
    """The part of picoseek.v1.CollectionService that is about aliases."""

    def __init__(
        self,
        catalog: Catalog,
        workers: Workers,
        admission: Admission,
        publish: Callable[[str, bool | None], Awaitable[None]],
    ) -> None:
        """Answer about aliases; `publish` tells whether a name may be used, None: it is gone."""
        self._catalog = catalog
        self._workers = workers
        self._admission = admission
        self._publish = publish

    async def set(
        self, request: collection_pb2.SetAliasRequest, deadline: float | None
    ) -> collection_pb2.SetAliasResponse:
        """See the contract."""

        def change() -> collection_pb2.SetAliasResponse:
            previous = self._catalog.set_alias(
                request.alias.name, request.alias.collection, expected=request.expected_collection
            )
            return collection_pb2.SetAliasResponse(alias=request.alias, previous_collection=previous)

        response = await self._admission.run(self._workers.write, 1, deadline, change)
        await self._publish(request.alias.name, True)
        return response

    async def delete(
        self, request: collection_pb2.DeleteAliasRequest, deadline: float | None
    ) -> collection_pb2.DeleteAliasResponse:
        """See the contract."""
        await self._admission.run(self._workers.write, 1, deadline, lambda: self._catalog.delete_alias(request.name))
        await self._publish(request.name, None)
        return collection_pb2.DeleteAliasResponse()

    async def list(
        self, request: collection_pb2.ListAliasesRequest, deadline: float | None
    ) -> collection_pb2.ListAliasesResponse:
        """See the contract."""
        after = decode_page_token(_LISTING, request.page_token)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def read() -> collection_pb2.ListAliasesResponse:
            found = [(name, collection) for name, collection in self._catalog.aliases() if name > after]
            response = collection_pb2.ListAliasesResponse(
                aliases=[collection_pb2.Alias(name=name, collection=target) for name, target in found[:limit]]
            )
            if len(found) > limit:
                response.next_page_token = encode_page_token(_LISTING, found[limit - 1][0])
            return response

        return await self._admission.run(self._workers.read, 1, deadline, read)
