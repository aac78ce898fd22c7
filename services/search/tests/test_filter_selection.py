"""What filters select without a look at the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.filter_selection import known_selection, selection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.workers import Workers
from picoseek_search.filtering.columns import Stored
from picoseek_search.filtering.conditions import Field
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.storage.documents import DocumentReader, RowNumbers

WITHIN_S = 60.0
FILTER = "attributes.rank < 3 AND labels:red"


@pytest.fixture
def gallery(tmp_path: Path, workers: Workers) -> Iterator[Collection]:
    """An empty collection that merges small parts at once."""
    catalog = Catalog(tmp_path, EngineOptions(growing_rows=8, graph_rows=20, merge_factor=2, idle_s=0.02), workers)
    catalog.create(
        collection_pb2.Collection(
            name="gallery",
            space=embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=2),
            metric=embedding_pb2.METRIC_L2,
            index=collection_pb2.IndexConfig(factory="HNSW4"),
            schema=[collection_pb2.AttributeField(name="rank", type=collection_pb2.ATTRIBUTE_TYPE_INT)],
        ),
        if_not_exists=False,
    )
    yield catalog.get("gallery")
    catalog.close()


def write(gallery: Collection, first: int, last: int, *, rank: int) -> None:
    """Write documents, every other one red."""
    documents = [
        document_pb2.Document(
            id=f"d{number}",
            labels=["red" if number % 2 else "blue"],
            vector=np.ones(2, "<f4").tobytes(),
            attributes={"rank": document_pb2.AttributeValue(int_value=rank)},
        )
        for number in range(first, last)
    ]
    gallery.submit(gallery.prepare_upsert(documents, f"{first}, {last}, {rank}")).result(WITHIN_S)


def found(gallery: Collection, filter_text: str = FILTER) -> list[str]:
    """Return the ids of the documents that a search finds, sorted."""
    query = Query(np.zeros((1, 2), np.float32), 1000, exact=True, ef=16)
    return sorted(gallery.search(query, filter_text, None).found.ids)


def ids_of(snapshot: Snapshot, selected: list[Bitmap]) -> list[str]:
    """Return the ids of selected rows, sorted."""
    return sorted(
        id_ for view, rows in zip(snapshot.views, selected, strict=True) for id_ in view.part.ids.take(rows.offsets())
    )


def test_each_document_is_read_once_though_parts_are_merged(
    gallery: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[tuple[Field, int]] = Counter()
    values_of = DocumentReader.field_values

    def counted(reader: DocumentReader, field: Field, rows: RowNumbers) -> list[Stored]:
        read.update((field, row) for row in rows.tolist())
        return values_of(reader, field, rows)

    monkeypatch.setattr(DocumentReader, "field_values", counted)
    for number in range(0, 60, 5):
        write(gallery, number, number + 5, rank=number % 2)
        assert gallery.shard.compactor.wait_idle(WITHIN_S)
        assert found(gallery) == sorted(f"d{one}" for one in range(1, number + 5, 2))
    assert max(len(view.part.rows) for view in gallery.shard.snapshot.views) > 20, "parts were merged"
    assert len(read) == 2 * 60 and set(read.values()) == {1}
    monkeypatch.setattr(type(gallery.shard), "reader_with_snapshot", lambda _: pytest.fail("the documents were read"))
    assert found(gallery, "NOT labels:red") == sorted(f"d{one}" for one in range(0, 60, 2))


def test_rows_that_only_an_older_snapshot_shows_are_not_taken_for_documents_without_a_value(
    gallery: Collection,
) -> None:
    write(gallery, 0, 12, rank=1)
    condition = gallery.condition(FILTER)
    assert condition is not None
    with gallery.shard.reader_with_snapshot() as (reader, old):
        write(gallery, 0, 6, rank=9)
        assert found(gallery) == ["d11", "d7", "d9"]
        # What has taken their place was read, and they were not.
        assert known_selection(old, condition) is None
        expected = sorted(f"d{number}" for number in range(1, 12, 2))
        assert ids_of(old, selection(old, condition, reader)) == expected
    again = known_selection(old, condition)
    assert again is not None and ids_of(old, again) == expected
    assert found(gallery) == ["d11", "d7", "d9"]
