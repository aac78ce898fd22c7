"""A process with one engine: commands come in as lines of JSON, answers go out so. `compare.py` starts it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from engine import Engine, Metric, Place, Setting
from numpy.typing import NDArray
from pinned_process import cpu_s, memory_bytes

ENGINES = {
    "picoseek": "picoseek_engine:PicoSeek",
    "picoseek-threads": "picoseek_engine:PicoSeekInThreads",
    "pgvector": "pgvector_engine:Pgvector",
    "chroma": "chroma_engine:Chroma",
    "milvus-lite": "milvus_lite_engine:MilvusLite",
    "lancedb": "lancedb_engine:LanceDb",
}
"""Where each engine is, by name."""
EFS = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512)
"""Candidates that are tried."""


class Driver:
    """Carries out commands on an engine."""

    def __init__(self, engine: Engine, vectors: Path, queries: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """Prepare.

        Args:
            engine: a started engine.
            vectors: file of what is searched.
            queries: shape (queries, dimension).
            truth: rows of the nearest vectors of each query, shape (queries, k).
        """
        self._engine = engine
        self._vectors = vectors
        self._queries = queries
        self._truth = truth

    def load(self) -> dict[str, Any]:
        """Write and index the vectors."""
        vectors = np.load(self._vectors).astype(np.float32, copy=False)
        begun, spent = time.perf_counter(), self._engine_cpu_s()
        self._engine.load(vectors)
        return {"load_s": time.perf_counter() - begun, "load_cpu_s": self._engine_cpu_s() - spent}

    def smallest(self, recall: float) -> dict[str, Any]:
        """Find the fewest candidates with which enough of the nearest vectors are found."""
        tried: dict[int, float] = {}
        for ef in EFS:
            tried[ef] = self._recall(self._engine.search(list(self._queries), ef, 1).rows, range(len(self._queries)))
            if tried[ef] >= recall:
                break
        return {"ef": max(tried), "recalls": tried}

    def measure(self, ef: int, callers: int, count: int, first: int) -> dict[str, Any]:
        """Search so many times, beginning with one of the queries."""
        numbers = [(first + number) % len(self._queries) for number in range(count)]
        server, client = self._engine_cpu_s(), time.process_time()
        answers = self._engine.search([self._queries[number] for number in numbers], ef, callers)
        server, client = self._engine_cpu_s() - server, time.process_time() - client
        return {
            "seconds": answers.seconds,
            "count": count,
            "recall": self._recall(answers.rows, numbers),
            "took_ms": [1000 * took for took in answers.took_s],
            "server_cpu_s": server,
            "client_cpu_s": client if self._engine.place is Place.SERVER else 0.0,
        }

    def describe(self) -> dict[str, Any]:
        """Tell what it is and what it takes."""
        engine = self._engine
        return {
            "version": engine.version(),
            "place": engine.place.value,
            "callers": engine.callers,
            "memory_bytes": memory_bytes(engine.processes()),
        }

    def _engine_cpu_s(self) -> float:
        return cpu_s(self._engine.processes())

    def _recall(self, rows: list[list[int]], numbers: Iterable[int]) -> float:
        k = self._truth.shape[1]
        return float(
            np.mean(
                [
                    len(set(found) & set(self._truth[number].tolist())) / k
                    for found, number in zip(rows, numbers, strict=True)
                ]
            )
        )


def main() -> None:
    """Carry out commands until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--metric", type=Metric, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--engine-core", type=int, required=True)
    parser.add_argument("--caller-core", type=int, required=True)
    arguments = parser.parse_args()
    # What libraries print is no answer.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    queries = np.load(arguments.queries).astype(np.float32, copy=False)
    setting = Setting(arguments.folder, arguments.metric, queries.shape[1], arguments.engine_core)
    module, _, name = ENGINES[arguments.engine].partition(":")
    os.sched_setaffinity(0, {arguments.caller_core})
    kind: type[Engine] = getattr(importlib.import_module(module), name)
    if kind.place is Place.EMBEDDED:
        os.sched_setaffinity(0, {arguments.engine_core})
    engine = kind(setting)
    engine.start()
    try:
        driver = Driver(engine, arguments.vectors, queries, np.load(arguments.truth))
        for line in sys.stdin:
            command = json.loads(line)
            out.write(json.dumps(getattr(driver, command.pop("do"))(**command)) + "\n")
    finally:
        engine.stop()


if __name__ == "__main__":
    main()
