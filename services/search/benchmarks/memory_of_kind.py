"""How much memory the service takes for a collection, against the vectors themselves.

    python services/search/benchmarks/memory_of_kind.py --factory IVF,PQ64 --rows 50000

Prints what the process has more than an empty service: memory of its own (RssAnon), shared memory, in which the newest
rows are (RssShmem), and mapped files, which the system may take back (RssFile). After writing, searching and a restart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, search_pb2
from processes import WITHIN_S, Service
from search_over_grpc import SPACE, clustered

_QUIET_S = 12.0
"""Longer than it takes until an idle service makes one index of all."""
_BATCH = 500


def memory(service: Service) -> np.ndarray:
    """Return RssAnon, RssShmem and RssFile in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines())
    return np.array([int(values[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem", "RssFile")])


def fill(service: Service, vectors: np.ndarray, factory: str) -> None:
    """Make a collection and write the vectors to it."""
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factory", default="IVF,PQ64")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--port", type=int, default=17079)
    arguments = parser.parse_args()
    vectors, queries = (clustered(count, arguments.dimension, seed) for count, seed in ((arguments.rows, 1), (200, 2)))
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "data", arguments.port)
        empty = memory(service)

        def report(when: str) -> None:
            anonymous, shared, files = (memory(service) - empty) / vectors.nbytes
            segments = " ".join(f"{segment.kind}:{segment.rows}" for segment in service.describe().segments)
            print(f"{when:>10}: {segments}")  # noqa: T201
            print(f"{when:>10}: RssAnon {anonymous:.3f}, RssShmem {shared:.3f}, RssFile {files:.3f} of the vectors")  # noqa: T201

        fill(service, vectors, arguments.factory)
        service.wait_until_built(_QUIET_S)
        report("built")
        found, true = (search(service, queries, exact=exact) for exact in (False, True))
        recall = np.mean([len(set(some) & set(all_)) / 10 for some, all_ in zip(found, true, strict=True)])
        print(f"recall@10 {recall:.3f}")  # noqa: T201
        report("searched")
        service.stop()
        service = Service(Path(folder) / "data", arguments.port)
        report("restarted")
        service.stop()


if __name__ == "__main__":
    main()
