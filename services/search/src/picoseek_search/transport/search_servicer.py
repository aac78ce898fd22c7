"""picoseek.v1.SearchService."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from picoseek_chassis import errors
from picoseek_protos.v1 import document_pb2, search_pb2, search_service_pb2_grpc

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.search import Query
from picoseek_search.collection.specification import MAX_EF
from picoseek_search.collection.workers import Workers
from picoseek_search.collection.write_queue import Write, WriteResult
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.calls import (
    Context,
    deadline_of,
    new_request_id,
    revision_message,
    wait_for_revision,
)
from picoseek_search.transport.document_checks import (
    check_different,
    check_documents,
    check_id,
    check_queries,
    check_request_id,
    check_space,
)
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.page_token import decode_page_token, encode_page_token

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

    def __init__(self, catalog: Catalog, workers: Workers, limits: Limits, admissions: Admissions) -> None:
        self._catalog = catalog
        self._workers = workers
        self._limits = limits
        self._admissions = admissions

    async def Upsert(self, request: search_pb2.UpsertRequest, context: Context) -> search_pb2.UpsertResponse:  # noqa: N802
        """See the contract."""
        collection = self._catalog.get(request.collection)
        request_id = request.request_id or new_request_id()

        def prepare() -> Write:
            self._limits.check_count("documents", len(request.documents), self._limits.max_documents)
            check_request_id(request_id)
            check_space(request.space, collection.specification)
            check_documents(request.documents, collection.specification)
            return collection.prepare_upsert(request.documents, request_id)

        result = await self._write(collection, await self._prepared(prepare, context))
        return search_pb2.UpsertResponse(
            revision=revision_message(result.revision),
            inserted=result.counts.inserted,
            replaced=result.counts.replaced,
            already_applied=result.already_applied,
            request_id=request_id,
        )

    async def Delete(self, request: search_pb2.DeleteRequest, context: Context) -> search_pb2.DeleteResponse:  # noqa: N802
        """See the contract."""
        collection = self._catalog.get(request.collection)
        request_id = request.request_id or new_request_id()

        def prepare() -> Write:
            check_request_id(request_id)
            if request.filter and request.ids:
                raise errors.invalid_argument("FILTER_INVALID", "ids and filter are both set; send one of them")
            if request.filter.strip():
                return collection.prepare_delete_where(request.filter, request_id)
            self._check_ids(request.ids)
            return collection.prepare_delete(request.ids, request_id)

        result = await self._write(collection, await self._prepared(prepare, context))
        return search_pb2.DeleteResponse(
            revision=revision_message(result.revision),
            deleted=result.counts.deleted,
            already_applied=result.already_applied,
            request_id=request_id,
        )

    async def Get(self, request: search_pb2.GetRequest, context: Context) -> search_pb2.GetResponse:  # noqa: N802
        """See the contract."""
        collection = self._catalog.get(request.collection)
        self._check_ids(request.ids)
        await self._wait(collection, request, context)

        def read() -> search_pb2.GetResponse:
            answer = collection.get(request.ids, _mask(request))
            found = {document.id for document in answer.documents}
            response = search_pb2.GetResponse(
                documents=answer.documents,
                missing_ids=[id_ for id_ in request.ids if id_ not in found],
                revision=revision_message(answer.revision),
            )
            self._limits.check_answer(response.ByteSize())
            return response

        return await self._admissions.reads.run(self._workers.read, 1, deadline_of(context), read)

    async def List(self, request: search_pb2.ListRequest, context: Context) -> search_pb2.ListResponse:  # noqa: N802
        """See the contract."""
        collection = self._catalog.get(request.collection)
        listing = f"{collection.specification.etag}\0{request.filter}"
        after_id = decode_page_token(listing, request.page_token)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def read() -> search_pb2.ListResponse:
            answer = collection.page(after_id, limit + 1, request.filter, _mask(request))
            page = _fitting(answer.documents[:limit], self._limits.max_message_bytes // 2)
            response = search_pb2.ListResponse(documents=page, revision=revision_message(answer.revision))
            if len(page) < len(answer.documents):
                response.next_page_token = encode_page_token(listing, page[-1].id)
            return response

        return await self._admissions.reads.run(self._workers.read, 1, deadline_of(context), read)

    async def Count(self, request: search_pb2.CountRequest, context: Context) -> search_pb2.CountResponse:  # noqa: N802
        """See the contract."""
        collection = self._catalog.get(request.collection)
        await self._wait(collection, request, context)

        def read() -> search_pb2.CountResponse:
            documents, items, revision = collection.count(request.filter)
            return search_pb2.CountResponse(documents=documents, items=items, revision=revision_message(revision))

        return await self._admissions.reads.run(self._workers.read, 1, deadline_of(context), read)

    async def Search(self, request: search_pb2.SearchRequest, context: Context) -> search_pb2.SearchResponse:  # noqa: N802
        """See the contract."""
        arrived = time.monotonic_ns()
        collection = self._catalog.get(request.collection)
        self._check_search(request)
        check_space(request.space, collection.specification)
        await self._wait(collection, request, context)

        def search() -> search_pb2.SearchResponse:
            return self._search(request, collection, arrived)

        return await self._admissions.searches.run(self._workers.search, request.queries, deadline_of(context), search)

    def _search(
        self, request: search_pb2.SearchRequest, collection: Collection, arrived: int
    ) -> search_pb2.SearchResponse:
        specification = collection.specification
        vectors = check_queries(request.vectors, request.queries, specification)
        query = Query(
            vectors=specification.metric.prepare(vectors),
            k=request.k,
            exact=request.params.exact or specification.exact,
            ef=min(request.params.ef, MAX_EF) or specification.ef,
            score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
            max_per_item=request.max_per_item,
        )
        include = request.include if request.HasField("include") else None
        answer = collection.search(query, request.filter, include)
        response = search_pb2.SearchResponse(
            ids=answer.found.ids,
            items=answer.found.items,
            scores=answer.found.scores.astype("<f4", copy=False).tobytes(),
            offsets=answer.found.offsets,
            documents=answer.documents,
            revision=revision_message(answer.snapshot.revision),
            index_generation=answer.snapshot.generation,
            shards=search_pb2.ShardSummary(asked=1, answered=1),
            larger_is_closer=specification.metric.larger_is_closer,
        )
        if include is not None:
            self._limits.check_answer(response.ByteSize())
        response.total_us = (time.monotonic_ns() - arrived) // 1000
        return response

    async def _prepared(self, prepare: Callable[[], Write], context: Context) -> Write:
        return await self._admissions.writes.run(self._workers.write, 0, deadline_of(context), prepare)

    async def _write(self, collection: Collection, write: Write) -> WriteResult:
        return await self._admissions.writes.watch(write.size, lambda: collection.submit(write))

    async def _wait(
        self,
        collection: Collection,
        request: search_pb2.GetRequest | search_pb2.CountRequest | search_pb2.SearchRequest,
        context: Context,
    ) -> None:
        if request.HasField("min_revision"):
            longest_s = self._limits.max_revision_wait_s
            await wait_for_revision(collection, request.min_revision, longest_s, deadline_of(context))

    def _check_ids(self, ids: Sequence[str]) -> None:
        self._limits.check_count("ids", len(ids), self._limits.max_documents)
        for place, id_ in enumerate(ids):
            check_id(f"ids[{place}]", id_)
        check_different("ids", ids)

    def _check_search(self, request: search_pb2.SearchRequest) -> None:
        self._limits.check_count("queries", request.queries, self._limits.max_queries)
        if not 1 <= request.k <= self._limits.max_k:
            raise errors.invalid_argument(
                "K_OUT_OF_RANGE",
                f"k is {request.k}; it must be 1 to {self._limits.max_k}",
                k=str(request.k),
                limit=str(self._limits.max_k),
            )
        self._limits.check_count("queries times k", request.queries * request.k, self._limits.max_hits)
        if request.HasField("score_threshold") and math.isnan(request.score_threshold):
            raise errors.invalid_argument("VECTOR_NOT_FINITE", "score_threshold is NaN; send a number or leave it out")
        if request.HasField("false_accept_rate"):
            raise errors.unimplemented(
                "VERDICT_UNIMPLEMENTED", "verdicts are not served yet; leave false_accept_rate out"
            )


def _mask(request: search_pb2.GetRequest | search_pb2.ListRequest) -> document_pb2.DocumentMask:
    return request.include if request.HasField("include") else _EVERYTHING_BUT_THE_VECTOR


def _fitting(documents: Sequence[document_pb2.Document], most_bytes: int) -> Sequence[document_pb2.Document]:
    size = 0
    for count, document in enumerate(documents):
        size += document.ByteSize()
        if size > most_bytes and count:
            return documents[:count]
    return documents
