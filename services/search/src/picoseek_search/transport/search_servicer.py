"""picoseek.v1.SearchService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from picoseek_chassis import errors
from picoseek_protos.v1 import document_pb2, search_pb2, search_service_pb2_grpc

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.workers import Workers
from picoseek_search.collection.write_queue import Write, WriteResult
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.calls import (
    Context,
    deadline_of,
    new_request_id,
    on_collection,
    revision_message,
    wait_for_revision,
)
from picoseek_search.transport.document_checks import (
    check_different,
    check_documents,
    check_id,
    check_request_id,
    check_space,
)
from picoseek_search.transport.judgement import search_quality
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.page_token import decode_page_token, encode_page_token
from picoseek_search.transport.search_calls import SearchCalls
from picoseek_search.transport.search_metrics import SearchMetrics
from picoseek_search.transport.search_stream import SearchStream

_Answer = TypeVar("_Answer")
_Read: TypeAlias = search_pb2.GetRequest | search_pb2.ListRequest | search_pb2.CountRequest

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100
_EVERYTHING_BUT_THE_VECTOR = document_pb2.DocumentMask(labels=True, attributes=True, payload=True, provenance=True)


@dataclass(frozen=True)
class Admissions:
    """Bounds on the work under way."""

    searches: Admission
    """Queries."""
    reads: Admission
    """Calls that read documents."""
    writes: Admission
    """Bytes of writes."""


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    """Checks calls, does their work in threads, and answers."""

    def __init__(
        self,
        catalog: Catalog,
        workers: Workers,
        limits: Limits,
        admissions: Admissions,
        draining: asyncio.Event,
        metrics: SearchMetrics | None,
    ) -> None:
        """Serve collections.

        Args:
            catalog: the collections.
            workers: threads.
            limits: bounds on one call.
            admissions: bounds on the work under way.
            draining: set when streams shall end.
            metrics: where searches are counted; None: they are not.
        """
        self._catalog = catalog
        self._workers = workers
        self._limits = limits
        self._admissions = admissions
        self._draining = draining
        answer = SearchCalls(catalog, workers, limits, admissions.searches).answer
        self._answer = answer if metrics is None else metrics.counted(answer)

    async def Upsert(self, request: search_pb2.UpsertRequest, context: Context) -> search_pb2.UpsertResponse:  # noqa: N802
        """See the contract."""
        request_id = request.request_id or new_request_id()

        def prepare(collection: Collection) -> Write:
            specification = collection.specification
            self._limits.check_count("documents", len(request.documents), self._limits.max_documents)
            check_request_id(request_id)
            check_space(request.space, specification)
            check_documents(request.documents, specification)
            return collection.prepare_upsert(request.documents, request_id, specification)

        result = await self._write(request.collection, prepare, context)
        return search_pb2.UpsertResponse(
            revision=revision_message(result.revision),
            inserted=result.counts.inserted,
            replaced=result.counts.replaced,
            already_applied=result.already_applied,
            request_id=request_id,
        )

    async def Delete(self, request: search_pb2.DeleteRequest, context: Context) -> search_pb2.DeleteResponse:  # noqa: N802
        """See the contract."""
        request_id = request.request_id or new_request_id()

        def prepare(collection: Collection) -> Write:
            check_request_id(request_id)
            if request.filter and request.ids:
                raise errors.invalid_argument("FILTER_INVALID", "ids and filter are both set; send one of them")
            if request.filter.strip():
                return collection.prepare_delete_where(request.filter, request_id)
            self._check_ids(request.ids)
            return collection.prepare_delete(request.ids, request_id)

        result = await self._write(request.collection, prepare, context)
        return search_pb2.DeleteResponse(
            revision=revision_message(result.revision),
            deleted=result.counts.deleted,
            already_applied=result.already_applied,
            request_id=request_id,
        )

    async def Get(self, request: search_pb2.GetRequest, context: Context) -> search_pb2.GetResponse:  # noqa: N802
        """See the contract."""
        self._check_ids(request.ids)

        def read(collection: Collection) -> search_pb2.GetResponse:
            answer = collection.get(request.ids, _mask(request))
            found = {document.id for document in answer.documents}
            response = search_pb2.GetResponse(
                documents=answer.documents,
                missing_ids=[id_ for id_ in request.ids if id_ not in found],
                revision=revision_message(answer.revision),
                vector_type=collection.specification.vector_type,
            )
            self._limits.check_answer(response.ByteSize())
            return response

        return await self._read(request, read, context)

    async def List(self, request: search_pb2.ListRequest, context: Context) -> search_pb2.ListResponse:  # noqa: N802
        """See the contract."""
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def read(collection: Collection) -> search_pb2.ListResponse:
            listing = f"{collection.identity}\0{request.filter}"
            after_id = decode_page_token(listing, request.page_token)
            answer = collection.page(after_id, limit + 1, request.filter, _mask(request))
            page = _fitting(answer.documents[:limit], self._limits.max_message_bytes // 2)
            response = search_pb2.ListResponse(
                documents=page,
                revision=revision_message(answer.revision),
                vector_type=collection.specification.vector_type,
            )
            if len(page) < len(answer.documents):
                response.next_page_token = encode_page_token(listing, page[-1].id)
            return response

        return await self._read(request, read, context)

    async def Count(self, request: search_pb2.CountRequest, context: Context) -> search_pb2.CountResponse:  # noqa: N802
        """See the contract."""

        def read(collection: Collection) -> search_pb2.CountResponse:
            documents, items, revision = collection.count(request.filter)
            return search_pb2.CountResponse(documents=documents, items=items, revision=revision_message(revision))

        return await self._read(request, read, context)

    async def Search(self, request: search_pb2.SearchRequest, context: Context) -> search_pb2.SearchResponse:  # noqa: N802
        """See the contract."""
        return await self._answer(request, deadline_of(context))

    async def StreamSearch(  # noqa: N802
        self, request_iterator: AsyncIterator[search_pb2.StreamSearchRequest], context: Context
    ) -> AsyncIterator[search_pb2.StreamSearchResponse]:
        """See the contract."""
        deadline = deadline_of(context)
        stream = SearchStream(
            lambda request: self._answer(request, deadline), self._limits.max_stream_searches, self._draining
        )
        async for answer in stream.run(request_iterator):
            yield answer

    async def GetSearchQuality(  # noqa: N802
        self, request: search_pb2.GetSearchQualityRequest, context: Context
    ) -> search_pb2.GetSearchQualityResponse:
        """See the contract."""
        # Nothing is computed for it, so it needs no thread.
        return search_quality(self._catalog.get(request.collection))

    async def _write(self, name: str, prepare: Callable[[Collection], Write], context: Context) -> WriteResult:
        writes, deadline = self._admissions.writes, deadline_of(context)

        async def apply(collection: Collection) -> WriteResult:
            write = await writes.run(self._workers.write, 0, deadline, lambda: prepare(collection))
            return await writes.watch(write.size, lambda: collection.submit(write))

        return await on_collection(self._catalog, name, apply)

    async def _read(self, request: _Read, read: Callable[[Collection], _Answer], context: Context) -> _Answer:
        deadline = deadline_of(context)

        async def answer(collection: Collection) -> _Answer:
            if not isinstance(request, search_pb2.ListRequest) and request.HasField("min_revision"):
                longest_s = self._limits.max_revision_wait_s
                await wait_for_revision(collection, request.min_revision, longest_s, deadline)
            return await self._admissions.reads.run(self._workers.read, 1, deadline, lambda: read(collection))

        return await on_collection(self._catalog, request.collection, answer)

    def _check_ids(self, ids: Sequence[str]) -> None:
        self._limits.check_count("ids", len(ids), self._limits.max_documents)
        for place, id_ in enumerate(ids):
            check_id(f"ids[{place}]", id_)
        check_different("ids", ids)


def _mask(request: search_pb2.GetRequest | search_pb2.ListRequest) -> document_pb2.DocumentMask:
    return request.include if request.HasField("include") else _EVERYTHING_BUT_THE_VECTOR


def _fitting(documents: Sequence[document_pb2.Document], most_bytes: int) -> Sequence[document_pb2.Document]:
    size = 0
    for count, document in enumerate(documents):
        size += document.ByteSize()
        if size > most_bytes and count:
            return documents[:count]
    return documents
