"""Searches as Prometheus hears of them, whether each came as a call of its own or many came in a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import grpc
from picoseek_chassis.call_metrics import CallMetrics
from picoseek_chassis.counted_handler import code_of_unanswered
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import search_pb2
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Answer: TypeAlias = Callable[[search_pb2.SearchRequest, float | None], Awaitable[search_pb2.SearchResponse]]
"""Makes a search for a caller who waits until a `time.monotonic()`, or for ever; see SearchCalls.answer."""

_OK = 0


class SearchMetrics(Collector):
    """Counts and times searches."""

    def __init__(self) -> None:
        self.queries: dict[str, int] = {}
        """Answered queries by the name of the collection; other threads may look."""
        self._calls = CallMetrics("picoseek_search_request", "searches, of calls and of streams,")
        self._tally = self._calls.tally()

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        return self._calls.collect()

    def counted(self, answer: Answer) -> Answer:
        """Return what does the same, and counts it."""
        tally, queries = self._tally, self.queries

        async def counting(request: search_pb2.SearchRequest, deadline: float | None) -> search_pb2.SearchResponse:
            begun = time.perf_counter()
            tally.under_way += 1
            try:
                response = await answer(request, deadline)
            except BaseException as error:
                tally.end(begun, _code(error, begun, deadline))
                raise
            tally.end(begun, _OK)
            # The request may have an alias.
            name = response.collection
            queries[name] = queries.get(name, 0) + request.queries
            return response

        return counting


def _code(error: BaseException, begun: float, deadline: float | None) -> int:
    if isinstance(error, asyncio.CancelledError):
        return code_of_unanswered(begun, None if deadline is None else deadline - time.monotonic())
    code = error.code if isinstance(error, ServiceError) else grpc.StatusCode.INTERNAL
    return int(code.value[0])
