"""How much of in-process Faiss is left over gRPC, and what writing and restarting cost.

    python services/search/benchmarks/search_over_grpc.py --rows 20000 --dimension 512 --json

It starts the service as a process of its own on a temporary directory and needs nothing else. Vectors are drawn from
clusters with a fixed seed. The same index is built in this process for comparison, on one core as the service searches;
client and service share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import grpc
import numpy as np
from picoseek_protos.v1 import (
    collection_pb2,
    collection_service_pb2_grpc,
    document_pb2,
    embedding_pb2,
    search_pb2,
    search_service_pb2_grpc,
)

SPACE = "sha256:" + "b" * 64
WITHIN_S = 600.0
LINKS = 32
EF = 64


def clustered(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Return unit vectors around 500 centres, shape (rows, dimension)."""
    centres = np.random.default_rng(0).standard_normal((500, dimension))
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, 500, rows)] + 0.7 * random.standard_normal((rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")


class Service:
    """The service as a process."""

    def __init__(self, data_dir: Path, port: int) -> None:
        command = [sys.executable, "-m", "picoseek_search", "--data-dir", str(data_dir), "--port", str(port)]
        begun = time.perf_counter()
        self._log = (data_dir.parent / "service.log").open("ab")
        settings = os.environ | {"PICOSEEK_SEARCH_SEARCH_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=settings)
        self._options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]
        self._options.append(("grpc.initial_reconnect_backoff_ms", 100))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", self._options)
        grpc.channel_ready_future(self.channel).result(WITHIN_S)
        self.ready_s = time.perf_counter() - begun
        self.search = search_service_pb2_grpc.SearchServiceStub(self.channel)
        self.collections = collection_service_pb2_grpc.CollectionServiceStub(self.channel)

    def anonymous_bytes(self) -> int:
        """Memory that is not backed by files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    def describe(self) -> collection_pb2.Collection:
        """Return the collection's state."""
        request = collection_pb2.GetCollectionRequest(name="bench")
        return self.collections.GetCollection(request, timeout=WITHIN_S).collection

    def wait_until_built(self) -> float:
        """Wait until the process has nothing to do any more; returns the seconds until then."""
        begun = idle_since = time.perf_counter()
        before = self._cpu_s()
        while time.perf_counter() - idle_since < 3.0:
            time.sleep(0.5)
            now = self._cpu_s()
            if now - before > 0.02:
                idle_since = time.perf_counter()
            before = now
        return idle_since - begun

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self.channel.close()
        self.process.terminate()
        self.process.wait(WITHIN_S)
        self._log.close()


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


def request_of(vectors: np.ndarray, k: int = 10, **more: object) -> search_pb2.SearchRequest:
    """Return a search of vectors, shape (queries, dimension)."""
    return search_pb2.SearchRequest(
        collection="bench", space=SPACE, vectors=vectors.tobytes(), queries=len(vectors), k=k, **more
    )


def measure(rows: int, dimension: int, port: int) -> dict[str, object]:
    """Return all figures by name."""
    vectors, queries = clustered(rows, dimension, 1), clustered(2048, dimension, 2)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        service = Service(data_dir, port)
        empty = service.anonymous_bytes()
        space = embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=dimension)
        collection = collection_pb2.Collection(
            name="bench",
            space=space,
            metric=embedding_pb2.METRIC_INNER_PRODUCT,
            index=collection_pb2.IndexConfig(factory=f"HNSW{LINKS}"),
        )
        service.collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=collection))

        def write(batch: int) -> None:
            part = range(batch * 64, min(rows, batch * 64 + 64))
            documents = [document_pb2.Document(id=f"document-{row}", vector=vectors[row].tobytes()) for row in part]
            request = search_pb2.UpsertRequest(collection="bench", space=SPACE, documents=documents)
            service.search.Upsert(request, timeout=WITHIN_S)

        written_s, batches = seconds_each(write, (rows + 63) // 64, callers=4)
        built_s = service.wait_until_built()
        result: dict[str, object] = {
            "rows": rows,
            "dimension": dimension,
            "upserts_per_s": rows / written_s,
            "upsert_batch_ms_p50": 1000 * float(np.median(batches)),
            "build_s_after_last_write": built_s,
            "segments": [f"{segment.kind}:{segment.rows}" for segment in service.describe().segments],
            "memory_over_raw": (service.anonymous_bytes() - empty) / vectors.nbytes,
        }
        result |= compare(service, vectors, queries)
        service.stop()
        service = Service(data_dir, port)
        result["restart_to_searchable_s"] = service.ready_s
        service.stop()
    return result


def compare(service: Service, vectors: np.ndarray, queries: np.ndarray) -> dict[str, object]:
    """Return the figures of searches, here and there."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.add(vectors)
    index.hnsw.efSearch = EF
    _, truth = faiss.knn(queries[:512], vectors, 10, metric=faiss.METRIC_INNER_PRODUCT)
    place = {f"document-{row}": row for row in range(len(vectors))}
    found: dict[int, list[int]] = {}

    def remote(number: int) -> None:
        part = slice(number % 32 * 64, number % 32 * 64 + 64)
        answer = service.search.Search(request_of(queries[part]), timeout=WITHIN_S)
        found[number % 32] = [place[id_] for id_ in answer.ids]

    local_s, _ = seconds_each(lambda n: index.search(queries[n % 32 * 64 : n % 32 * 64 + 64], 10), 64)
    remote_s, _ = seconds_each(remote, 64)
    single_s, single = seconds_each(
        lambda n: service.search.Search(request_of(queries[n % 2048 : n % 2048 + 1]), timeout=WITHIN_S),
        2000,
        callers=16,
    )
    local_single_s, _ = seconds_each(lambda n: index.search(queries[n % 2048 : n % 2048 + 1], 10), 2000)
    hits = np.array([found[number] for number in range(8)]).reshape(512, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(hits.tolist(), truth.tolist(), strict=True)])
    return {
        "recall_at_10": float(recall),
        "faiss_batch_64_qps": 64 * 64 / local_s,
        "grpc_batch_64_qps": 64 * 64 / remote_s,
        "batch_64_share": local_s / remote_s,
        "faiss_single_qps": 2000 / local_single_s,
        "grpc_single_qps_16_callers": 2000 / single_s,
        "grpc_single_ms_p50": 1000 * float(np.median(single)),
        "grpc_single_ms_p99": 1000 * float(np.quantile(single, 0.99)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--port", type=int, default=50992)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    result = measure(arguments.rows, arguments.dimension, arguments.port)
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name:28} {value:.4g}\n" if isinstance(value, float) else f"{name:28} {value}\n")


if __name__ == "__main__":
    main()
