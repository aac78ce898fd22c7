"""Measures a running search service with vectors of one's own."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek.async_client import AsyncClient
from picoseek.benchmark.callers import run_callers
from picoseek.benchmark.empty_call import EmptyCall, measure_empty_call
from picoseek.benchmark.load import Amount, Load, LoadResult
from picoseek.benchmark.nearest import nearest, recall
from picoseek.benchmark.vector_set import VectorSet
from picoseek.collection import AttributeField, AttributeType, Collection, IndexConfig
from picoseek.document import Document, DocumentMask
from picoseek.embedding import EmbeddingSpace
from picoseek.errors import DeadlineExceededError, InvalidArgumentError
from picoseek.index_state import IndexState
from picoseek.search import SearchOptions

_WRITERS = 4
_POLL_S = 0.1
_MOST_HITS = 50_000
_DRAW_SEED = 0
_CHECKED_QUERIES = 10
_LEAST_TRUE_SHARE = 0.99
_SCHEMA = (AttributeField("row", AttributeType.INT), AttributeField("draw", AttributeType.DOUBLE))
_NO_PARTS = DocumentMask()


@dataclass(frozen=True)
class Setting:
    """How searches of a run look things up; 0: the service's default."""

    ef: int = 0
    """HNSW: candidates."""
    nprobe: int = 0
    """IVF: cells."""
    rerank: int = 0
    """SQ8, PQ: candidates a hit that are compared in full."""
    exact: bool = False
    """Compare with every vector."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    collection: str
    """Name of the collection that is made for it."""
    factory: str
    """How it is indexed; empty: the service's default."""
    ef_construction: int
    """HNSW: candidates while building; 0: the service's default."""
    k: int
    """Hits a query."""
    settings: Sequence[Setting]
    """Each is measured with each number of callers."""
    callers: Sequence[int]
    """Calls under way at a time."""
    amount: Amount
    """How long each run takes."""
    batch_size: int = 1
    """Queries a call."""
    write_batch: int = 500
    """Documents a write."""
    filter: str = ""
    """Condition of every search, over `attributes.row`, the row of a vector, and `attributes.draw`, a number drawn
    evenly from 0 up to 1; empty: none, and documents have no attributes."""
    keep: bool = False
    """Leave the collection there."""
    build_timeout_s: float = 3600.0
    """Longest wait for the index after the last write, in seconds."""


@dataclass(frozen=True)
class Written:
    """What writing and building took."""

    rows_per_second: float
    """Documents acknowledged a second, four writes under way at a time."""
    write_seconds: float
    """From the first write to the last answer."""
    build_seconds: float
    """From then until the service had nothing left to build or merge; its pause before the last merge is in it."""
    index_bytes: int
    """Memory of the index, as the service estimates it."""
    process_growth_bytes: int
    """Memory that the service's process has gained since the collection was made; 0: the service does not tell."""
    vector_bytes: int
    """Bytes of the vectors alone."""
    segments: tuple[str, ...]
    """Kind and rows of each part of the index."""


@dataclass(frozen=True)
class Run:
    """One setting with one number of callers."""

    setting: Setting
    """How searches looked things up."""
    callers: int
    """Calls under way at a time."""
    queries: int
    """Queries that were answered."""
    seconds: float
    """From the first call to the last answer."""
    qps: float
    """Queries a second."""
    p50_ms: float
    """Median of a call, milliseconds."""
    p95_ms: float
    """95 of 100 calls are not longer."""
    p99_ms: float
    """99 of 100 calls are not longer."""
    recall: float
    """Share of the true k nearest that were found; as close as the last of them is as good."""
    short_answers: int
    """Answers with fewer hits than min(k, documents that meet the filter); there should be none."""
    client_cpu_us_per_query: float
    """Processor time of this process for a query, microseconds."""
    client_busy: float
    """Processor time of this process for a second; near 1 the client is what limits."""


@dataclass(frozen=True)
class Report:
    """Everything that was measured."""

    truth: str
    """Where the true neighbours come from: "file", "compared here" or "exact search" of the service."""
    live: int
    """Documents that meet the filter."""
    written: Written
    """Writing and building."""
    empty_call: EmptyCall
    """What a call costs that does nothing."""
    runs: tuple[Run, ...]
    """Setting by setting."""


class SearchBenchmark:
    """One measurement, in a collection of its own."""

    def __init__(
        self,
        client: AsyncClient,
        vectors: VectorSet,
        plan: Plan,
        report: Callable[[str, int, int], None] = lambda stage, done, total: None,
    ) -> None:
        """Prepare a measurement.

        Args:
            client: how to reach the service.
            vectors: what is written and looked up.
            plan: what to measure.
            report: told of the progress: stage, done, total.
        """
        self._client = client
        self._vectors = vectors
        self._plan = plan
        self._report = report
        digest = hashlib.sha256(f"{vectors.name} {vectors.dimension} {vectors.type.value}".encode()).hexdigest()
        self._space = EmbeddingSpace(f"sha256:{digest}", vectors.dimension, vectors.type)

    async def run(self) -> Report:
        """Write, wait for the index, search, and remove the collection, also when it is interrupted.

        Raises:
            AlreadyExistsError: there is a collection of this name.
            DeadlineExceededError: the index was not complete in time.
            InvalidArgumentError: the file's true neighbours are none, or no document meets the filter.
            PicoSeekError: the service failed.
        """
        plan = self._plan
        empty_call = await measure_empty_call(self._client.config)
        async with self._collection():
            await self._try_settings()
            written = await self._write()
            live = (await self._client.count(plan.collection, filter=plan.filter)).documents
            if not live:
                raise InvalidArgumentError(f"no document meets the filter {plan.filter!r}: there is nothing to find")
            origin, truth = await self._truth(min(plan.k, live))
            load = Load(
                self._client,
                plan.collection,
                self._space.digest,
                self._vectors.queries,
                batch_size=plan.batch_size,
                hits_due=min(plan.k, live),
            )
            runs: list[Run] = []
            total = len(plan.settings) * len(plan.callers)
            for setting in plan.settings:
                for callers in plan.callers:
                    self._report("searching", len(runs), total)
                    seen = await load.run(self._options(setting), callers, plan.amount)
                    runs.append(self._judged(setting, callers, seen, truth))
            self._report("searching", total, total)
        return Report(origin, live, written, empty_call, tuple(runs))

    async def _try_settings(self) -> None:
        # What the service refuses shall be known before everything is written.
        some = np.arange(self._plan.batch_size) % len(self._vectors.queries)
        queries = self._vectors.queries[some]
        for setting in self._plan.settings:
            await self._client.search(
                self._plan.collection, queries, space=self._space.digest, options=self._options(setting)
            )

    @asynccontextmanager
    async def _collection(self) -> AsyncGenerator[None]:
        plan = self._plan
        await self._client.create_collection(
            Collection(
                plan.collection,
                self._space,
                self._vectors.metric,
                IndexConfig(plan.factory, ef_construction=plan.ef_construction),
                schema=_SCHEMA if plan.filter else (),
                description="of a running `picoseek bench`; may be removed",
            )
        )
        try:
            yield
        finally:
            if not plan.keep:
                await self._client.delete_collection(plan.collection, allow_missing=True)

    async def _write(self) -> Written:
        plan, base = self._plan, self._vectors.base
        before = await self._client.index_state(plan.collection)
        draws = np.random.default_rng(_DRAW_SEED).random(len(base)) if plan.filter else None
        starts = iter(range(0, len(base), plan.write_batch))
        done = 0

        async def write() -> None:
            nonlocal done
            for start in starts:
                rows = range(start, min(len(base), start + plan.write_batch))
                documents = [
                    Document(
                        str(row), base[row], attributes={} if draws is None else {"row": row, "draw": float(draws[row])}
                    )
                    for row in rows
                ]
                await self._client.upsert(plan.collection, documents, space=self._space.digest)
                done += len(rows)
                self._report("writing", done, len(base))

        begun = time.perf_counter()
        await run_callers(_WRITERS, write)
        write_s = time.perf_counter() - begun
        state = await self._built()
        build_s = time.perf_counter() - begun - write_s
        growth = max(0, state.process_memory_bytes - before.process_memory_bytes)
        return Written(
            rows_per_second=len(base) / write_s,
            write_seconds=write_s,
            build_seconds=build_s,
            index_bytes=state.memory_bytes,
            process_growth_bytes=growth if before.process_memory_bytes else 0,
            vector_bytes=base.nbytes,
            segments=tuple(f"{segment.kind}:{segment.live_rows}" for segment in state.segments),
        )

    async def _built(self) -> IndexState:
        name, most_s = self._plan.collection, self._plan.build_timeout_s
        begun = time.perf_counter()
        while (state := await self._client.index_state(name)).pending:
            if time.perf_counter() - begun > most_s:
                raise DeadlineExceededError(f"the index of {name} was not complete within {most_s:g} s")
            await asyncio.sleep(_POLL_S)
        return state

    async def _truth(self, due: int) -> tuple[str, Sequence[NDArray[np.int64]]]:
        vectors, plan = self._vectors, self._plan
        if plan.filter:
            return "exact search", await self._exact(due)
        stated = vectors.neighbors
        if stated is not None and stated.shape[1] >= due:
            await asyncio.to_thread(self._check_stated, stated[:, :due])
            return "file", list(stated[:, :due])
        self._report("comparing all", 0, 1)
        found = await asyncio.to_thread(nearest, vectors.base, vectors.queries, due, vectors.metric)
        self._report("comparing all", 1, 1)
        return "compared here", list(found)

    def _check_stated(self, stated: NDArray[np.int64]) -> None:
        vectors, some = self._vectors, slice(0, _CHECKED_QUERIES)
        queries, rows = vectors.queries[some], stated[some]
        true = nearest(vectors.base, queries, rows.shape[1], vectors.metric)
        distinct = [list(dict.fromkeys(one.tolist())) for one in rows]
        if recall(vectors.base, queries, list(true), distinct, vectors.metric) < _LEAST_TRUE_SHARE:
            raise InvalidArgumentError(
                f"{vectors.name}: its `neighbors` are not the nearest rows of `train` by {vectors.metric.value}; "
                "write them anew, or remove them from the file: then all vectors are compared here"
            )

    async def _exact(self, due: int) -> list[NDArray[np.int64]]:
        queries = self._vectors.queries
        at_once = max(1, min(1000, _MOST_HITS // max(due, 1)))
        options = self._options(Setting(exact=True))
        found: list[NDArray[np.int64]] = []
        for start in range(0, len(queries), at_once):
            some = queries[start : start + at_once]
            answer = await self._client.search(self._plan.collection, some, space=self._space.digest, options=options)
            found += [np.array([int(hit.id) for hit in hits], np.int64) for hits in answer.hits]
            self._report("comparing all", len(found), len(queries))
        return found

    def _options(self, setting: Setting) -> SearchOptions:
        return SearchOptions(
            k=self._plan.k,
            filter=self._plan.filter,
            exact=setting.exact,
            ef=setting.ef,
            nprobe=setting.nprobe,
            rerank=setting.rerank,
            include=_NO_PARTS,
        )

    def _judged(self, setting: Setting, callers: int, seen: LoadResult, truth: Sequence[NDArray[np.int64]]) -> Run:
        vectors = self._vectors
        asked = sorted(seen.found)
        return Run(
            setting=setting,
            callers=callers,
            queries=seen.queries,
            seconds=seen.seconds,
            qps=seen.queries / seen.seconds,
            p50_ms=seen.percentile_ms(50),
            p95_ms=seen.percentile_ms(95),
            p99_ms=seen.percentile_ms(99),
            recall=recall(
                vectors.base,
                vectors.queries[asked],
                [truth[number] for number in asked],
                [seen.found[number] for number in asked],
                vectors.metric,
            ),
            short_answers=seen.short_answers,
            client_cpu_us_per_query=1e6 * seen.client_cpu_s / seen.queries,
            client_busy=seen.client_cpu_s / seen.seconds,
        )
