"""The way of a search from request to answer, for single calls and streams alike."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from picoseek_chassis import errors
from picoseek_protos.v1 import search_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection, Reasons, SearchAnswer
from picoseek_search.collection.search import Query
from picoseek_search.collection.specification import MAX_EF, MAX_RERANK
from picoseek_search.collection.workers import Workers
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.calls import on_collection, revision_message, wait_for_revision
from picoseek_search.transport.document_checks import check_queries, check_space
from picoseek_search.transport.judgement import explanations, verdicts
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.search_queue import Outcome, SearchQueue


@dataclass(frozen=True, eq=False)
class _Search:
    collection: Collection
    request: search_pb2.SearchRequest
    arrived: int
    """`time.monotonic_ns()`"""


class SearchCalls:
    """Checks searches, hands them to threads, and puts what they find into messages."""

    def __init__(self, catalog: Catalog, workers: Workers, limits: Limits, admission: Admission) -> None:
        self._catalog = catalog
        self._limits = limits
        self._admission = admission
        self._queue = SearchQueue[_Search, search_pb2.SearchResponse](
            self._search, workers.search, workers.search_threads
        )

    async def answer(self, request: search_pb2.SearchRequest, deadline: float | None) -> search_pb2.SearchResponse:
        """Return the answer to a search.

        Args:
            request: what to look for.
            deadline: `time.monotonic()` until which the caller waits; None: for ever.

        Raises:
            ServiceError: see the contract.
        """
        arrived = time.monotonic_ns()
        self._check(request)
        return await on_collection(
            self._catalog, request.collection, lambda collection: self._answer(collection, request, arrived, deadline)
        )

    async def _answer(
        self, collection: Collection, request: search_pb2.SearchRequest, arrived: int, deadline: float | None
    ) -> search_pb2.SearchResponse:
        check_space(request.space, collection.specification)
        if request.HasField("min_revision"):
            await wait_for_revision(collection, request.min_revision, self._limits.max_revision_wait_s, deadline)
        return await self._queue.submit(
            _Search(collection, request, arrived),
            key=_key(collection, request),
            queries=request.queries,
            deadline=deadline,
            over=self._admission.admit(request.queries),
            kind=self._kind(collection, request),
        )

    def _search(self, searches: Sequence[_Search]) -> list[Outcome[search_pb2.SearchResponse]]:
        begun = time.thread_time_ns()
        collection, request = searches[0].collection, searches[0].request
        specification = collection.specification
        vectors = check_queries(
            b"".join([search.request.vectors for search in searches]), request.queries * len(searches), specification
        )
        query = Query(
            vectors=specification.metric.prepare(vectors),
            k=request.k,
            exact=request.params.exact or specification.exact,
            ef=min(request.params.ef, MAX_EF) or specification.ef,
            score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
            max_per_item=request.max_per_item,
            nprobe=request.params.nprobe or specification.nprobe,
            rerank=min(request.params.rerank, MAX_RERANK) or specification.rerank,
        )
        include = request.include if request.HasField("include") else None
        rate = request.false_accept_rate if request.HasField("false_accept_rate") else None
        reasons = Reasons(runners_up=rate is not None or request.explain, documents=request.explain)
        answer = collection.search(query, request.filter, include, reasons)
        state = collection.calibrator.state
        calibration = None if state is None else state.calibration
        judged = [] if rate is None else verdicts(answer, calibration, rate, specification.metric)
        explained = explanations(answer, query) if request.explain else []
        places = range(0, len(vectors) + 1, request.queries)
        outcomes = [
            self._response(search, answer, first, last, judged[first:last], explained[first:last])
            for search, (first, last) in zip(searches, pairwise(places), strict=True)
        ]
        ended, spent = time.monotonic_ns(), time.thread_time_ns() - begun
        for search, outcome in zip(searches, outcomes, strict=True):
            if isinstance(outcome, search_pb2.SearchResponse):
                outcome.total_us = (ended - search.arrived) // 1000
                outcome.search_cpu_us = spent // (1000 * len(searches))
        return outcomes

    def _response(
        self,
        search: _Search,
        answer: SearchAnswer,
        first: int,
        last: int,
        judged: Sequence[search_pb2.Verdict],
        explained: Sequence[search_pb2.Explanation],
    ) -> Outcome[search_pb2.SearchResponse]:
        found = answer.found
        start, end = found.offsets[first], found.offsets[last]
        response = search_pb2.SearchResponse(
            ids=found.ids[start:end],
            items=found.items[start:end],
            scores=found.scores[start:end].astype("<f4", copy=False).tobytes(),
            offsets=[offset - start for offset in found.offsets[first : last + 1]],
            documents=answer.documents[start:end],
            revision=revision_message(answer.snapshot.revision),
            index_generation=answer.snapshot.generation,
            shards=_ONE_SHARD,
            verdicts=judged,
            explanations=explained,
            larger_is_closer=search.collection.specification.metric.larger_is_closer,
            collection=search.collection.specification.name,
        )
        if search.request.include.vector:
            response.vector_type = search.collection.specification.vector_type
        if search.request.HasField("include") or explained:
            try:
                self._limits.check_answer(response.ByteSize())
            except errors.ServiceError as error:
                return error
        return response

    def _kind(self, collection: Collection, request: search_pb2.SearchRequest) -> tuple[object, ...] | None:
        """Return what the time of a search depends on; None: it may wait for others, or search again and farther."""
        if (
            request.filter
            or request.explain
            or request.max_per_item
            or request.HasField("include")
            or request.HasField("false_accept_rate")
            or collection.specification.kind.is_compressed
            or self._catalog.uses_gpu
        ):
            return None
        params = request.params
        return (collection.identity, request.k, params.exact, params.ef, params.nprobe)

    def _check(self, request: search_pb2.SearchRequest) -> None:
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
        if request.HasField("false_accept_rate") and not 0 < request.false_accept_rate < 1:
            raise errors.invalid_argument(
                "RATE_OUT_OF_RANGE",
                f"false_accept_rate is {request.false_accept_rate:g}; it must be above 0 and below 1, or left out",
            )


_ONE_SHARD = search_pb2.ShardSummary(asked=1, answered=1)


def _key(collection: Collection, request: search_pb2.SearchRequest) -> tuple[object, ...]:
    """Return what searches must have in common: everything but the vectors, and these at least in their length."""
    return (
        collection,
        request.queries,
        len(request.vectors),
        request.k,
        request.filter,
        request.score_threshold if request.HasField("score_threshold") else None,
        request.max_per_item,
        request.params.SerializeToString(deterministic=True),
        request.include.SerializeToString(deterministic=True) if request.HasField("include") else None,
        request.false_accept_rate if request.HasField("false_accept_rate") else None,
        request.explain,
    )
