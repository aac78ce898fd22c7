"""Chroma's server, called over HTTP by its own client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import chromadb
import numpy as np
from engine import Answers, Metric, Place, Setting, in_threads
from numpy.typing import NDArray
from pinned_process import PinnedProcess, family, free_port

_NAME = "bench"
_METRICS = {Metric.L2: "l2", Metric.INNER_PRODUCT: "ip"}
_BATCH = 1000


class Chroma:
    """`chroma run`, the server in Rust."""

    place = Place.SERVER
    callers = "threads, an HttpClient each"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._ef = 0

    def start(self) -> None:
        """See Engine."""
        self._clients: list[chromadb.api.ClientAPI] = []
        self._port = free_port()
        program = Path(sys.executable).with_name("chroma")
        arguments = ["run", "--path", str(self._setting.folder / "data"), "--port", str(self._port)]
        self._server = PinnedProcess(
            [str(program), *arguments], self._port, self._setting.core, self._setting.folder / "log"
        )

    def _connect(self) -> chromadb.api.ClientAPI:
        settings = chromadb.Settings(anonymized_telemetry=False)
        return chromadb.HttpClient("127.0.0.1", self._port, settings=settings)

    def load(self, vectors: NDArray[np.float32]) -> None:
        """See Engine."""
        graph = {
            "space": _METRICS[self._setting.metric],
            "max_neighbors": self._setting.links,
            "ef_construction": self._setting.ef_construction,
            "num_threads": 1,
        }
        collection = self._connect().create_collection(_NAME, embedding_function=None, configuration={"hnsw": graph})
        # A write returns when the graph has it.
        for first in range(0, len(vectors), _BATCH):
            part = vectors[first : first + _BATCH]
            collection.add([str(row) for row in range(first, first + len(part))], embeddings=part)
        if collection.count() != len(vectors):
            raise RuntimeError(f"{collection.count()} of {len(vectors)} vectors were written")
        collection.query(query_embeddings=vectors[:1], n_results=self._setting.k, include=["distances"])

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        if ef != self._ef:
            collection = self._connect().get_collection(_NAME, embedding_function=None)
            collection.modify(configuration={"hnsw": {"ef_search": ef}})
            # The setting is read with the graph, and the graph when it is searched first.
            self.stop()
            self.start()
            self._ef = ef
        while len(self._clients) < callers:
            self._clients.append(self._connect())
        searches = [self._searcher(client) for client in self._clients[:callers]]
        for search in searches:
            search(queries[0])
        return in_threads(searches, queries)

    def _searcher(self, client: chromadb.api.ClientAPI) -> Callable[[NDArray[np.float32]], list[int]]:
        collection = client.get_collection(_NAME, embedding_function=None)

        def search(query: NDArray[np.float32]) -> list[int]:
            found = collection.query(query_embeddings=[query], n_results=self._setting.k, include=["distances"])
            return [int(id_) for id_ in found["ids"][0]]

        return search

    def version(self) -> str:
        """See Engine."""
        return f"Chroma {version('chromadb')}"

    def processes(self) -> list[int]:
        """See Engine."""
        return family(self._server.pid)

    def stop(self) -> None:
        """See Engine."""
        self._server.stop()
