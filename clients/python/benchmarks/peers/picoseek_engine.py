"""PicoSeek's search service, called by its own client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from engine import Answers, Metric, Place, Setting, in_tasks, in_threads
from numpy.typing import NDArray
from picoseek import AsyncClient, Client, Collection, ConnectionConfig, Document, EmbeddingSpace, IndexConfig
from picoseek import Metric as PicoSeekMetric
from picoseek.document import DocumentMask
from picoseek.search import SearchOptions
from pinned_process import PinnedProcess, family, free_port

_NAME = "bench"
_SPACE = "sha256:" + "b" * 64
_METRICS = {Metric.L2: PicoSeekMetric.L2, Metric.INNER_PRODUCT: PicoSeekMetric.INNER_PRODUCT}
_BATCH = 256
_WRITERS = 4
_PAUSE_S = 0.2


class PicoSeek:
    """The service in a process of its own; single searches share a stream, as they do by default."""

    place = Place.SERVER
    callers = "asyncio tasks on one AsyncClient"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def start(self) -> None:
        """See Engine."""
        port = free_port()
        arguments = ["-m", "picoseek_search", "--data-dir", str(self._setting.folder / "data"), "--port", str(port)]
        self._server = PinnedProcess(
            [sys.executable, *arguments], port, self._setting.core, self._setting.folder / "log"
        )
        self._config = ConnectionConfig(search=f"127.0.0.1:{port}")

    def load(self, vectors: NDArray[np.float32]) -> None:
        """See Engine."""
        asyncio.run(self._load(vectors))

    async def _load(self, vectors: NDArray[np.float32]) -> None:
        setting = self._setting
        collection = Collection(
            _NAME,
            EmbeddingSpace(_SPACE, setting.dimension),
            _METRICS[setting.metric],
            IndexConfig(f"HNSW{setting.links}", ef_construction=setting.ef_construction),
        )
        firsts = iter(range(0, len(vectors), _BATCH))

        async def write() -> None:
            for first in firsts:
                part = vectors[first : first + _BATCH]
                documents = [Document(str(row), vector=vector) for row, vector in enumerate(part, start=first)]
                await client.upsert(_NAME, documents, space=_SPACE)

        async with AsyncClient(self._config) as client:
            await client.create_collection(collection)
            await asyncio.gather(*(write() for _ in range(_WRITERS)))
            while (await client.index_state(_NAME)).pending:
                await asyncio.sleep(_PAUSE_S)

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        return asyncio.run(self._search(queries, self._options(ef), callers))

    async def _search(self, queries: Sequence[NDArray[np.float32]], options: SearchOptions, callers: int) -> Answers:
        async with AsyncClient(self._config) as client:

            async def search(query: NDArray[np.float32]) -> list[int]:
                result = await client.search(_NAME, query[None], space=_SPACE, options=options)
                return [int(hit.id) for hit in result.hits[0]]

            await search(queries[0])
            return await in_tasks(search, queries, callers)

    def _options(self, ef: int) -> SearchOptions:
        return SearchOptions(self._setting.k, ef=ef, include=DocumentMask())

    def version(self) -> str:
        """See Engine."""
        return f"PicoSeek {version('picoseek-search')}, faiss {version('faiss-cpu')}, grpcio {version('grpcio')}"

    def processes(self) -> list[int]:
        """See Engine."""
        return family(self._server.pid)

    def stop(self) -> None:
        """See Engine."""
        self._server.stop()


class PicoSeekInThreads(PicoSeek):
    """The same service and stream, called by threads."""

    callers = "threads on one Client"

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        options = self._options(ef)
        with Client(self._config) as client:

            def search(query: NDArray[np.float32]) -> list[int]:
                result = client.search(_NAME, query[None], space=_SPACE, options=options)
                return [int(hit.id) for hit in result.hits[0]]

            search(queries[0])
            return in_threads([search] * callers, queries)
