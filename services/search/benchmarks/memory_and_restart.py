"""How much memory the service takes against the vectors themselves, and how soon it answers after a restart.

    python services/search/benchmarks/memory_and_restart.py --factory HNSW32 --rows 100000
    python services/search/benchmarks/memory_and_restart.py --factory IVF,PQ64 --rebuild-as IVF,PQ32

Memory is what the process has more than an empty service, in units of the vectors' bytes: memory of its own (RssAnon),
shared memory, in which the newest rows are (RssShmem), and mapped files, which the system may take back (RssFile).
Peaks are of the first two together.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, operation_pb2, search_pb2
from processes import WITHIN_S, Service
from search_over_grpc import SPACE, clustered

_BATCH = 500
_POLL_S = 0.1
_SAMPLE_S = 0.01
_KIB = 1024


def memory(service: Service) -> np.ndarray:
    """Return RssAnon, RssShmem and RssFile in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines())
    return np.array([int(values[name].split()[0]) * _KIB for name in ("RssAnon", "RssShmem", "RssFile")])


@contextmanager
def peak(service: Service) -> Iterator[list[int]]:
    """Watch memory that no file backs; the list gets the largest value in bytes at the end."""
    largest: list[int] = []
    over = threading.Event()
    seen = 0

    def watch() -> None:
        nonlocal seen
        while not over.wait(_SAMPLE_S):
            seen = max(seen, int(memory(service)[:2].sum()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()
        largest.append(seen)


def fill(service: Service, vectors: np.ndarray, factory: str) -> None:
    """Make a collection, write the vectors to it, and wait until its index is complete."""
    space = embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=vectors.shape[1])
    collection = collection_pb2.Collection(name="bench", space=space, index=collection_pb2.IndexConfig(factory=factory))
    service.collections.CreateCollection(collection_pb2.CreateCollectionRequest(collection=collection))
    for start in range(0, len(vectors), _BATCH):
        documents = [
            document_pb2.Document(id=f"document-{row}", vector=vectors[row].tobytes())
            for row in range(start, min(len(vectors), start + _BATCH))
        ]
        request = search_pb2.UpsertRequest(collection="bench", space=SPACE, documents=documents)
        service.search.Upsert(request, timeout=WITHIN_S)
    while service.describe().index_pending:
        time.sleep(_POLL_S)


def rebuild(service: Service, factory: str) -> None:
    """Change the kind of the index, and wait until it is complete."""
    changed = collection_pb2.Collection(name="bench", index=collection_pb2.IndexConfig(factory=factory))
    request = collection_pb2.UpdateCollectionRequest(collection=changed, update_mask=FieldMask(paths=["index.factory"]))
    id_ = service.collections.UpdateCollection(request, timeout=WITHIN_S).operation_id
    while True:
        waited = service.collections.WaitOperation(operation_pb2.WaitOperationRequest(id=id_), timeout=WITHIN_S)
        if waited.operation.HasField("ended_at"):
            break
    while service.describe().index_pending:
        time.sleep(_POLL_S)


def search(service: Service, queries: np.ndarray, *, exact: bool) -> list[list[str]]:
    """Return the ids of the ten nearest documents of each query."""
    found = []
    for query in queries:
        params = search_pb2.SearchParams(exact=exact)
        request = search_pb2.SearchRequest(
            collection="bench", space=SPACE, vectors=query.tobytes(), queries=1, k=10, params=params
        )
        found.append(list(service.search.Search(request, timeout=WITHIN_S).ids))
    return found


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Return all figures by name."""
    vectors, queries = (clustered(count, arguments.dimension, seed) for count, seed in ((arguments.rows, 1), (200, 2)))
    service = Service(folder / "data", arguments.port)
    empty = memory(service)
    figures: dict[str, object] = {
        "factory": arguments.factory,
        "rows": arguments.rows,
        "dimension": arguments.dimension,
        "empty_mib": float(empty[:2].sum() / (1 << 20)),
    }

    def note(when: str) -> None:
        anonymous, shared, files = (memory(service) - empty) / vectors.nbytes
        figures.update({f"{when}_anonymous": anonymous, f"{when}_shared": shared, f"{when}_files": files})

    def note_peak(when: str, largest: list[int]) -> None:
        figures[f"{when}_peak"] = (largest[0] - int(empty[:2].sum())) / vectors.nbytes

    with peak(service) as largest:
        fill(service, vectors, arguments.factory)
    figures["segments"] = [f"{segment.kind}:{segment.rows}" for segment in service.describe().segments]
    note("built")
    note_peak("building", largest)
    found, true = (search(service, queries, exact=exact) for exact in (False, True))
    figures["recall_at_10"] = float(
        np.mean([len(set(some) & set(all_)) / 10 for some, all_ in zip(found, true, strict=True)])
    )
    note("searched")
    service.stop()
    begun = time.perf_counter()
    service = Service(folder / "data", arguments.port)
    search(service, queries[:1], exact=False)
    figures["restart_to_first_answer_s"] = time.perf_counter() - begun
    note("restarted")
    if arguments.rebuild_as:
        with peak(service) as largest:
            rebuild(service, arguments.rebuild_as)
        figures["rebuilt_as"] = [f"{segment.kind}:{segment.rows}" for segment in service.describe().segments]
        note("rebuilt")
        note_peak("rebuilding", largest)
    service.stop()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factory", default="HNSW32")
    parser.add_argument("--rebuild-as", default="", help="another kind to build of it, after the restart")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--port", type=int, default=17079)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments, Path(folder))
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name:26} {value:.3f}\n" if isinstance(value, float) else f"{name:26} {value}\n")


if __name__ == "__main__":
    main()
