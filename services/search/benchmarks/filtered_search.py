"""What a filter costs: on columns in memory, against a pass of SQLite over the documents, and when it comes first.

    python services/search/benchmarks/filtered_search.py --rows 100000

In this process, on vectors of few components, so that little of a search is anything else. Figures are milliseconds of
processor time: the first search that asks for a field, which reads it; later ones; and what SQLite takes to name the
documents that meet the filter.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.storage.filter_sql import sql_of

DIMENSION = 64
BATCH = 1000
TIMES = 15
FILTERS = [
    "attributes.draw < 0.01",
    "attributes.draw < 0.5",
    'attributes.brand = "brand-7"',
    'attributes.brand = "brand-1*"',
    'attributes.sizes:"7" AND attributes.draw < 0.5',
    'labels:"label-7"',
    'NOT labels:"label-7"',
    'item = "item-77"',
    'id = "document-12*"',
]


def fill(collection: Collection, rows: int) -> None:
    """Write documents with attributes, and wait until the index is complete."""
    random = np.random.default_rng(0)
    value = document_pb2.AttributeValue
    for start in range(0, rows, BATCH):
        documents = []
        for row in range(start, min(rows, start + BATCH)):
            sizes = [str(size) for size in random.integers(0, 50, 3)]
            documents.append(
                document_pb2.Document(
                    id=f"document-{row}",
                    item=f"item-{row // 4}",
                    labels=[f"label-{row % 50}"],
                    vector=random.standard_normal(DIMENSION).astype("<f4").tobytes(),
                    attributes={
                        "draw": value(double_value=float(random.random())),
                        "brand": value(string_value=f"brand-{random.integers(1000)}"),
                        "sizes": value(string_list=document_pb2.StringList(values=sizes)),
                    },
                )
            )
        collection.submit(collection.prepare_upsert(documents, f"r{start}")).result()
    collection.shard.compactor.wait_idle(3600.0)


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Return the processor time of some work, the median of several times."""
    took = []
    for _ in range(times):
        begun = time.thread_time()
        work()
        took.append(1000 * (time.thread_time() - begun))
    return float(np.median(took))


def measure(collection: Collection) -> None:
    """Print a line a filter."""
    query = Query(np.random.default_rng(1).standard_normal((1, DIMENSION)).astype("<f4"), 10, exact=False, ef=32)
    plain = milliseconds(lambda: collection.search(query, "", None), 100)
    print(f"{'filter':50} {'first':>8} {'later':>8} {'SQLite':>8}\n{'(none)':50} {'':8} {plain:8.2f}")  # noqa: T201
    for text in FILTERS:
        filtered = partial(collection.search, query, text, None)
        first, later = milliseconds(filtered, 1), milliseconds(filtered, TIMES)
        with collection.shard.reader() as (reader, _):
            passed_over = milliseconds(partial(reader.rows_where, sql_of(collection.condition(text))), 5)
        print(f"{text:50} {first:8.2f} {later:8.2f} {passed_over:8.2f}")  # noqa: T201


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    workers = Workers.start(search_threads=1, read_threads=1, write_threads=1, build_threads=1)
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(Path(folder), EngineOptions(), workers)
        try:
            field = collection_pb2.AttributeField
            catalog.create(
                collection_pb2.Collection(
                    name="bench",
                    space=embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=DIMENSION),
                    metric=embedding_pb2.METRIC_L2,
                    index=collection_pb2.IndexConfig(factory="HNSW16"),
                    schema=[
                        field(name="draw", type=collection_pb2.ATTRIBUTE_TYPE_DOUBLE),
                        field(name="brand", type=collection_pb2.ATTRIBUTE_TYPE_STRING),
                        field(name="sizes", type=collection_pb2.ATTRIBUTE_TYPE_STRING_LIST),
                    ],
                ),
                if_not_exists=False,
            )
            fill(catalog.get("bench"), arguments.rows)
            measure(catalog.get("bench"))
        finally:
            catalog.close()
            workers.stop()


if __name__ == "__main__":
    main()
