"""LanceDB, which searches in the process of its callers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from importlib.metadata import version

import lancedb
import numpy as np
import pyarrow as pa
from engine import Answers, Metric, Place, Setting, in_tasks
from lancedb.index import HnswFlat
from numpy.typing import NDArray

_NAME = "bench"
_METRICS = {Metric.L2: "l2", Metric.INNER_PRODUCT: "dot"}


class LanceDb:
    """A table with one graph; there is no network and no process between."""

    place = Place.EMBEDDED
    callers = "asyncio tasks in the engine's process"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def start(self) -> None:
        """See Engine."""
        self._runner = asyncio.Runner()
        self._database = self._runner.run(lancedb.connect_async(str(self._setting.folder / "data")))
        self._table: lancedb.AsyncTable | None = None

    def load(self, vectors: NDArray[np.float32]) -> None:
        """See Engine."""
        self._runner.run(self._load(vectors))

    async def _load(self, vectors: NDArray[np.float32]) -> None:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self._setting.dimension)
        data = pa.table({"id": pa.array(np.arange(len(vectors))), "vector": rows})
        table = await self._database.create_table(_NAME, data)
        graph = HnswFlat(
            distance_type=_METRICS[self._setting.metric],
            num_partitions=1,
            m=self._setting.links,
            ef_construction=self._setting.ef_construction,
        )
        await table.create_index("vector", config=graph)
        (index,) = await table.list_indices()
        statistics = await table.index_stats(index.name)
        if statistics is None or statistics.num_unindexed_rows:
            raise RuntimeError(f"the index is not complete: {statistics}")

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        return self._runner.run(self._search(queries, ef, callers))

    async def _search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        if self._table is None:
            self._table = await self._database.open_table(_NAME)
        table = self._table

        async def search(query: NDArray[np.float32]) -> list[int]:
            wanted = table.vector_search(query).distance_type(_METRICS[self._setting.metric]).fast_search()
            found = await wanted.nprobes(1).ef(ef).limit(self._setting.k).select(["id", "_distance"]).to_arrow()
            return list(found["id"].to_pylist())

        await search(queries[0])
        return await in_tasks(search, queries, callers)

    def version(self) -> str:
        """See Engine."""
        return f"LanceDB {version('lancedb')}"

    def processes(self) -> list[int]:
        """See Engine."""
        return [os.getpid()]

    def stop(self) -> None:
        """See Engine."""
        self._runner.close()
