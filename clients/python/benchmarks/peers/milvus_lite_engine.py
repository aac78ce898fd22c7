"""Milvus Lite's server, called over gRPC by its own client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from engine import Answers, Metric, Place, Setting, in_threads
from numpy.typing import NDArray
from pinned_process import PinnedProcess, family, free_port
from pymilvus import DataType, MilvusClient

_NAME = "bench"
_METRICS = {Metric.L2: "L2", Metric.INNER_PRODUCT: "IP"}
_BATCH = 1000


class MilvusLite:
    """`milvus-lite server`, in Python over Faiss."""

    place = Place.SERVER
    callers = "threads, a MilvusClient each"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._clients: list[MilvusClient] = []

    def start(self) -> None:
        """See Engine."""
        self._port = free_port()
        program = Path(sys.executable).with_name("milvus-lite")
        arguments = ["server", "--data-dir", str(self._setting.folder / "data"), "--port", str(self._port)]
        self._server = PinnedProcess(
            [str(program), *arguments, "--host", "127.0.0.1"],
            self._port,
            self._setting.core,
            self._setting.folder / "log",
        )

    def _connect(self) -> MilvusClient:
        client = MilvusClient(f"http://127.0.0.1:{self._port}", dedicated=True)
        if client.has_collection(_NAME):
            client.load_collection(_NAME)
        return client

    def load(self, vectors: NDArray[np.float32]) -> None:
        """See Engine."""
        client = self._connect()
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._setting.dimension)
        client.create_collection(_NAME, schema=schema)
        for first in range(0, len(vectors), _BATCH):
            part = vectors[first : first + _BATCH]
            client.insert(_NAME, [{"id": row, "vector": vector} for row, vector in enumerate(part, start=first)])
        client.flush(_NAME)
        index = client.prepare_index_params()
        index.add_index(
            "vector",
            index_type="HNSW",
            metric_type=_METRICS[self._setting.metric],
            params={"M": self._setting.links, "efConstruction": self._setting.ef_construction},
        )
        client.create_index(_NAME, index)
        client.load_collection(_NAME)
        self._searcher(client, 64)(vectors[0])

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        while len(self._clients) < callers:
            self._clients.append(self._connect())
        searches = [self._searcher(client, ef) for client in self._clients[:callers]]
        for search in searches:
            search(queries[0])
        return in_threads(searches, queries)

    def _searcher(self, client: MilvusClient, ef: int) -> Callable[[NDArray[np.float32]], list[int]]:
        def search(query: NDArray[np.float32]) -> list[int]:
            found = client.search(_NAME, [query], limit=self._setting.k, search_params={"params": {"ef": ef}})
            return [hit["id"] for hit in found[0]]

        return search

    def version(self) -> str:
        """See Engine."""
        return f"Milvus Lite {version('milvus-lite')}, faiss {version('faiss-cpu')}, pymilvus {version('pymilvus')}"

    def processes(self) -> list[int]:
        """See Engine."""
        return family(self._server.pid)

    def stop(self) -> None:
        """See Engine."""
        for client in self._clients:
            client.close()
        self._server.stop()
