"""Callers that search at the same time, and what they see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from picoseek.async_client import AsyncClient
from picoseek.benchmark.callers import run_callers
from picoseek.embedding import Vector
from picoseek.search import SearchOptions, SearchResult

_WARM_UP_A_CALLER = 4


@dataclass(frozen=True)
class Amount:
    """How long callers go on."""

    queries: int
    """So many queries in all, at least."""
    duration_s: float | None = None
    """Instead: so many seconds."""


@dataclass(eq=False)
class LoadResult:
    """What callers have seen."""

    queries: int = 0
    """Queries that were answered."""
    short_answers: int = 0
    """Answers with fewer hits than there had to be."""
    seconds: float = 0.0
    """From the first call to the last answer."""
    client_cpu_s: float = 0.0
    """Processor time of this process, all its threads."""
    call_ms: list[float] = field(default_factory=list[float])
    """Milliseconds of each call."""
    found: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Rows that were found, by the number of the query."""

    def percentile_ms(self, percent: float) -> float:
        """Return the milliseconds that so many of a hundred calls do not exceed."""
        return float(np.percentile(self.call_ms, percent))


class Load:
    """Searches of a collection whose documents are named by their rows."""

    def __init__(
        self,
        client: AsyncClient,
        collection: str,
        space: str,
        queries: Vector,
        *,
        batch_size: int,
        hits_due: int,
    ) -> None:
        """Prepare calls.

        Args:
            client: how to reach the service; it says whether single queries share a stream.
            collection: what to search.
            space: digest of its space.
            queries: [queries, dimension], looked up in turn, again from the first after the last.
            batch_size: queries a call.
            hits_due: hits that every answer must have.
        """
        self._client = client
        self._collection = collection
        self._space = space
        self._queries = queries
        self._batch_size = batch_size
        self._hits_due = hits_due

    async def run(self, options: SearchOptions, callers: int, amount: Amount) -> LoadResult:
        """Have some callers search, each with one call under way, after a short warm-up.

        Raises:
            PicoSeekError: a search failed.
        """
        await self._work(options, callers, iter(range(_WARM_UP_A_CALLER * callers)), LoadResult())
        result = LoadResult()
        spent, begun = time.process_time(), time.perf_counter()
        await self._work(options, callers, self._calls(amount), result)
        result.seconds, result.client_cpu_s = time.perf_counter() - begun, time.process_time() - spent
        return result

    def _calls(self, amount: Amount) -> Iterator[int]:
        if amount.duration_s is None:
            yield from range(-(-amount.queries // self._batch_size))
            return
        end = time.perf_counter() + amount.duration_s
        number = 0
        while time.perf_counter() < end:
            yield number
            number += 1

    async def _work(self, options: SearchOptions, callers: int, calls: Iterator[int], result: LoadResult) -> None:
        async def caller() -> None:
            for number in calls:
                first = number * self._batch_size
                asked = [place % len(self._queries) for place in range(first, first + self._batch_size)]
                vectors = self._queries[asked]
                begun = time.perf_counter()
                answer = await self._client.search(self._collection, vectors, space=self._space, options=options)
                result.call_ms.append(1e3 * (time.perf_counter() - begun))
                self._note(result, asked, answer)

        await run_callers(callers, caller)

    def _note(self, result: LoadResult, asked: list[int], answer: SearchResult) -> None:
        for number, hits in zip(asked, answer.hits, strict=True):
            result.queries += 1
            result.short_answers += len(hits) < self._hits_due
            if number not in result.found:
                result.found[number] = [int(hit.id) for hit in hits]
