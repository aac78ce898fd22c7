"""How much of in-process Faiss is left over gRPC, and what writing, memory and restarting cost.

    python services/search/benchmarks/search_over_grpc.py --rows 20000 --dimension 512 --json

It starts the service as a process of its own on a temporary directory and needs nothing else. Vectors are drawn from
clusters with a fixed seed, or come from files (`--vectors`, `--queries`). The same index is built in this process for
comparison, on one core as the service searches. What is compared is measured by turns, so that both meet the same
neighbours on the machine; figures are medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2
from processes import CORES, IS_PINNED, SERVICE_CORE, WITHIN_S, Echo, Server, Service

SPACE = "sha256:" + "b" * 64
LINKS = 32
HITS = 10
CALLERS = 16
BATCH_CALLERS = 4
"""Of batches: enough that the service does not wait for a caller."""
TURNS = 5
QUIET_S = 8.0
QUERIES = 2048
METRICS = {
    "inner_product": (embedding_pb2.METRIC_INNER_PRODUCT, faiss.METRIC_INNER_PRODUCT),
    "l2": (embedding_pb2.METRIC_L2, faiss.METRIC_L2),
}
"""Metrics by name, as the service and as Faiss call them."""


def clustered(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Return unit vectors around 500 centres, shape (rows, dimension)."""
    centres = np.random.default_rng(0).standard_normal((500, dimension))
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, 500, rows)] + 0.7 * random.standard_normal((rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")


def seconds_each(work: Callable[[int], object], count: int, callers: int = 1) -> tuple[float, list[float]]:
    """Return the seconds in all and those of each piece of work, done by some callers at once."""
    took: list[float] = []

    def run(caller: int) -> None:
        for number in range(caller, count, callers):
            begun = time.perf_counter()
            work(number)
            took.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun, took


def stream_seconds(server: Server, request: Callable[[int], search_pb2.SearchRequest], count: int) -> float:
    """Return the seconds of so many searches over one stream, `CALLERS` under way at a time."""
    sent: queue.SimpleQueue[search_pb2.StreamSearchRequest | None] = queue.SimpleQueue()

    def send(number: int) -> None:
        sent.put(search_pb2.StreamSearchRequest(call_id=number, request=request(number)))

    begun = time.perf_counter()
    for number in range(CALLERS):
        send(number)
    answered = itertools.count(1)
    for answer in server.search.StreamSearch(iter(sent.get, None), timeout=WITHIN_S):
        assert answer.WhichOneof("result") == "response", answer.error
        done = next(answered)
        if done + CALLERS <= count:
            send(done + CALLERS - 1)
        if done == count:
            sent.put(None)
    return time.perf_counter() - begun


def request_of(vectors: np.ndarray, **more: object) -> search_pb2.SearchRequest:
    """Return a search of vectors, shape (queries, dimension)."""
    return search_pb2.SearchRequest(
        collection="bench", space=SPACE, vectors=vectors.tobytes(), queries=len(vectors), k=HITS, **more
    )


@contextmanager
def on_the_services_core() -> Iterator[None]:
    """Run this thread where the service runs."""
    if IS_PINNED:
        os.sched_setaffinity(0, {SERVICE_CORE})
    try:
        yield
    finally:
        if IS_PINNED:
            os.sched_setaffinity(0, set(CORES) - {SERVICE_CORE})


def measure(vectors: np.ndarray, queries: np.ndarray, metric: str, ef: int, port: int) -> dict[str, object]:
    """Return all figures by name.

    Args:
        vectors: what is searched, shape (rows, dimension).
        queries: shape (QUERIES, dimension).
        metric: one of METRICS.
        ef: candidates that a search keeps.
        port: where the service listens; the echo is at the next.
    """
    rows, dimension = vectors.shape
    if IS_PINNED:
        os.sched_setaffinity(0, set(CORES) - {SERVICE_CORE})
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        service = Service(data_dir, port)
        empty = service.memory_bytes()
        space = embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=dimension)
        collection = collection_pb2.Collection(
            name="bench",
            space=space,
            metric=METRICS[metric][0],
            index=collection_pb2.IndexConfig(factory=f"HNSW{LINKS}", defaults=search_pb2.SearchParams(ef=ef)),
        )
        service.collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=collection))

        def write(batch: int) -> None:
            part = range(batch * 64, min(rows, batch * 64 + 64))
            documents = [document_pb2.Document(id=f"document-{row}", vector=vectors[row].tobytes()) for row in part]
            request = search_pb2.UpsertRequest(collection="bench", space=SPACE, documents=documents)
            service.search.Upsert(request, timeout=WITHIN_S)

        written_s, batches = seconds_each(write, (rows + 63) // 64, callers=4)
        built_s = service.wait_until_built(QUIET_S)
        result: dict[str, object] = {
            "rows": rows,
            "dimension": dimension,
            "metric": metric,
            "ef": ef,
            "is_pinned": IS_PINNED,
            "upserts_per_s": rows / written_s,
            "upsert_batch_ms_p50": 1000 * float(np.median(batches)),
            "build_s_after_last_write": built_s,
            "segments": [f"{segment.kind}:{segment.rows}" for segment in service.describe().segments],
            "memory_over_raw": (service.memory_bytes() - empty) / vectors.nbytes,
        }
        echo = Echo(port + 1, HITS, data_dir.parent / "echo.log")
        result |= compare(service, echo, vectors, queries, METRICS[metric][1], ef)
        result["memory_over_raw_after_searches"] = (service.memory_bytes() - empty) / vectors.nbytes
        echo.stop()
        service.stop()
        service = Service(data_dir, port)
        result["restart_to_searchable_s"] = service.ready_s
        result["memory_over_raw_after_restart"] = (service.memory_bytes() - empty) / vectors.nbytes
        service.stop()
    return result


def compare(
    service: Service, echo: Echo, vectors: np.ndarray, queries: np.ndarray, metric: int, ef: int
) -> dict[str, object]:
    """Return the figures of searches: in this process, over gRPC, and of gRPC alone."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, metric)
    index.hnsw.efConstruction = 80
    index.add(vectors)
    index.hnsw.efSearch = ef
    _, truth = faiss.knn(queries[:512], vectors, HITS, metric=metric)
    place = {f"document-{row}": row for row in range(len(vectors))}
    found: dict[int, list[int]] = {}
    single_ms: list[float] = []

    def batch_of(number: int) -> np.ndarray:
        return queries[number % 32 * 64 : number % 32 * 64 + 64]

    def single(number: int) -> search_pb2.SearchRequest:
        return request_of(queries[number % QUERIES : number % QUERIES + 1])

    def here(work: Callable[[int], object], count: int) -> float:
        begun = time.perf_counter()
        with on_the_services_core():
            for number in range(count):
                work(number)
        return time.perf_counter() - begun

    def remote_batch(number: int) -> None:
        answer = service.search.Search(request_of(batch_of(number)), timeout=WITHIN_S)
        found[number % 32] = [place[id_] for id_ in answer.ids]

    def unary(server: Server, took: list[float] | None = None) -> float:
        seconds, each = seconds_each(
            lambda number: server.search.Search(single(number), timeout=WITHIN_S), 1600, callers=CALLERS
        )
        if took is not None:
            took += [1000 * one for one in each]
        return seconds

    ways: dict[str, tuple[int, Callable[[], float]]] = {
        "faiss_batch_64": (32 * 64, lambda: here(lambda number: index.search(batch_of(number), HITS), 32)),
        "grpc_batch_64": (32 * 64, lambda: seconds_each(remote_batch, 32)[0]),
        "grpc_batch_64_at_once": (64 * 64, lambda: seconds_each(remote_batch, 64, callers=BATCH_CALLERS)[0]),
        "faiss_single": (1600, lambda: here(lambda number: index.search(queries[number : number + 1], HITS), 1600)),
        "grpc_unary": (1600, lambda: unary(service, single_ms)),
        "echo_unary": (1600, lambda: unary(echo)),
        "grpc_stream": (1600, lambda: stream_seconds(service, single, 1600)),
        "echo_stream": (1600, lambda: stream_seconds(echo, single, 1600)),
    }
    servers: dict[str, Server] = {name: echo if name.startswith("echo") else service for name in ways}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, float] = dict.fromkeys(ways, 0.0)
    for _ in range(TURNS):
        for name, (_, way) in ways.items():
            clock = time.thread_time if name.startswith("faiss") else servers[name].cpu_s
            begun = clock()
            seconds[name].append(way())
            cpu[name] += clock() - begun

    def share(of: str, whole: str) -> float:
        return float(np.median([a / b for a, b in zip(seconds[whole], seconds[of], strict=True)]))

    hits = np.array([found[number] for number in range(8)]).reshape(512, HITS)
    recall = np.mean([len(set(a) & set(b)) / HITS for a, b in zip(hits.tolist(), truth.tolist(), strict=True)])
    figures: dict[str, Any] = {"recall_at_10": float(recall)}
    figures |= {f"{name}_qps": count / float(np.median(seconds[name])) for name, (count, _) in ways.items()}
    cpu_us = {name: 1e6 * cpu[name] / TURNS / count for name, (count, _) in ways.items()}
    figures |= {f"{name}_cpu_us_a_query": spent for name, spent in cpu_us.items()}
    return figures | {
        # Processor time is what is left when neighbours on the machine take turns.
        "batch_64_cpu_share_of_faiss": cpu_us["faiss_batch_64"] / cpu_us["grpc_batch_64"],
        "batch_64_at_once_cpu_share_of_faiss": cpu_us["faiss_batch_64"] / cpu_us["grpc_batch_64_at_once"],
        "unary_cpu_share_of_echo_and_faiss": (cpu_us["echo_unary"] + cpu_us["faiss_single"]) / cpu_us["grpc_unary"],
        "stream_cpu_share_of_echo_and_faiss": (cpu_us["echo_stream"] + cpu_us["faiss_single"]) / cpu_us["grpc_stream"],
        "batch_64_share_of_faiss": share("grpc_batch_64", "faiss_batch_64"),
        "batch_64_at_once_share_of_faiss": 2 * share("grpc_batch_64_at_once", "faiss_batch_64"),
        "unary_share_of_echo": share("grpc_unary", "echo_unary"),
        "stream_share_of_echo": share("grpc_stream", "echo_stream"),
        "stream_over_unary": share("grpc_stream", "grpc_unary"),
        "unary_ms_p50": float(np.median(single_ms)),
        "unary_ms_p99": float(np.quantile(single_ms, 0.99)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="NPY file, (rows, dimension), to search instead of drawn ones")
    parser.add_argument("--queries", type=Path, help="NPY file, (queries, dimension), that goes with it")
    parser.add_argument("--metric", choices=METRICS, default="inner_product")
    parser.add_argument("--ef", type=int, default=64, help="candidates that a search keeps")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--port", type=int, default=50992, help="this one and the next")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if (arguments.vectors is None) != (arguments.queries is None):
        parser.error("--vectors and --queries go together")
    if arguments.vectors is None:
        vectors, queries = (
            clustered(rows, arguments.dimension, seed) for seed, rows in enumerate((arguments.rows, QUERIES), start=1)
        )
    else:
        vectors, queries = (np.load(path).astype("<f4", copy=False) for path in (arguments.vectors, arguments.queries))
        queries = np.resize(queries, (QUERIES, queries.shape[1]))
    result = measure(vectors, queries, arguments.metric, arguments.ef, arguments.port)
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name:32} {value:.4g}\n" if isinstance(value, float) else f"{name:32} {value}\n")


if __name__ == "__main__":
    main()
