"""Changes of a collection's settings, in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2, operation_pb2, search_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

WITHIN_S = 120.0
DIMENSION = 8
OPTIONS = EngineOptions(growing_rows=16, graph_rows=48, merge_factor=2, idle_s=0)
Make = Callable[..., document_pb2.Document]
STRING, INT = collection_pb2.ATTRIBUTE_TYPE_STRING, collection_pb2.ATTRIBUTE_TYPE_INT


@pytest.fixture
def catalog(open_catalog: Callable[..., Catalog], collection_of: Callable[..., Any]) -> Catalog:
    """A catalog with an empty collection `gallery` of HNSW8."""
    made = open_catalog(OPTIONS)
    made.create(collection_of(index=collection_pb2.IndexConfig(factory="HNSW8")), if_not_exists=False)
    return made


def update(catalog: Catalog, *paths: str, etag: str = "", **settings: object) -> str:
    """Change fields of `gallery`; returns the id of the operation."""
    asked = collection_pb2.Collection(name="gallery", **settings)
    return catalog.update(asked, FieldMask(paths=paths), etag=etag)[1]


def factory(name: str, **more: object) -> dict[str, collection_pb2.IndexConfig]:
    return {"index": collection_pb2.IndexConfig(factory=name, **more)}


def reason_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ServiceError) as refused:
        call()
    return refused.value.reason, refused.value.message


def vector(number: int) -> list[float]:
    return np.random.default_rng(number).normal(size=DIMENSION).tolist()


def write(gallery: Collection, document_of: Make, numbers: range, **parts: object) -> None:
    documents = [document_of(f"d{number}", vector(number), **parts) for number in numbers]
    gallery.submit(gallery.prepare_upsert(documents, f"r{numbers}")).result(WITHIN_S)


def attributes(**values: object) -> dict[str, document_pb2.AttributeValue]:
    kinds = {str: "string_value", int: "int_value"}
    return {name: document_pb2.AttributeValue(**{kinds[type(value)]: value}) for name, value in values.items()}


def ended(catalog: Catalog, id_: str) -> operation_pb2.Operation:
    catalog.operations.when_ended(id_).result(WITHIN_S)
    return catalog.operations.get(id_)


def structures(gallery: Collection) -> set[Structure]:
    return {
        view.part.segment.index_kind.structure
        for view in gallery.shard.snapshot.views
        if isinstance(view.part.segment, SealedSegment) and not view.part.segment.index_kind.is_exact
    }


def all_ids(gallery: Collection) -> list[str]:
    query = Query(vectors=Metric.COSINE.prepare(np.ones((1, DIMENSION), np.float32)), k=100_000, exact=True, ef=16)
    return sorted(gallery.search(query, "", None).found.ids)


def ids(numbers: Iterable[int]) -> list[str]:
    return sorted(f"d{number}" for number in numbers)


def test_a_mask_names_what_may_change(catalog: Catalog) -> None:
    for paths in [(), ("space",), ("metric",), ("name",), ("documents",), ("nothing",), ("index.nothing",), ("*",)]:
        reason, message = reason_of(lambda paths=paths: update(catalog, *paths))
        assert reason == "UPDATE_MASK_INVALID"
        assert not paths or repr(paths[0]) in message
    assert "alias" in reason_of(lambda: update(catalog, "space"))[1]
    assert reason_of(lambda: update(catalog, "replicas", replicas=2)) == (
        "COLLECTION_INVALID",
        "collection.replicas: it must be 1; more are not served yet",
    )
    assert reason_of(lambda: update(catalog, "index", **factory("PQ8")))[0] == "COLLECTION_INVALID"
    assert reason_of(lambda: update(catalog, "index", **factory("BFlat")))[0] == "COLLECTION_INVALID"
    assert (
        reason_of(lambda: catalog.update(collection_pb2.Collection(name="none"), FieldMask(), etag=""))[0]
        == "COLLECTION_NOT_FOUND"
    )


def test_only_what_the_mask_names_changes_and_stays_changed(
    catalog: Catalog, open_catalog: Callable[..., Catalog]
) -> None:
    before = catalog.get("gallery").describe()
    defaults = search_pb2.SearchParams(ef=99)
    index = collection_pb2.IndexConfig(factory="Flat", defaults=defaults)
    assert update(catalog, "description", "index.defaults", description="new", index=index) == ""
    after = catalog.get("gallery").describe()
    assert (after.description, after.index.factory, after.index.defaults.ef) == ("new", "HNSW8", 99)
    assert catalog.get("gallery").specification.ef == 99
    assert after.etag != before.etag
    assert after.updated_at.ToNanoseconds() > before.updated_at.ToNanoseconds()
    assert after.created_at == before.created_at
    assert update(catalog, "description", description="new") == ""
    assert catalog.get("gallery").describe() == after
    catalog.close()
    assert open_catalog(OPTIONS).get("gallery").describe() == after


def test_an_etag_refuses_what_was_decided_on_old_settings(catalog: Catalog) -> None:
    etag = catalog.get("gallery").describe().etag
    update(catalog, "description", etag=etag, description="first")
    assert reason_of(lambda: update(catalog, "description", etag=etag, description="second"))[0] == "ETAG_MISMATCH"
    assert catalog.get("gallery").describe().description == "first"


def test_a_schema_grows_freely_and_shrinks_where_no_document_objects(catalog: Catalog, document_of: Make) -> None:
    gallery = catalog.get("gallery")

    def change(*fields: tuple[str, int, bool]) -> str:
        schema = [collection_pb2.AttributeField(name=name, type=type_, required=must) for name, type_, must in fields]
        return update(catalog, "schema", schema=schema)

    change(("colour", STRING, False), ("size", INT, False))
    write(gallery, document_of, range(3), attributes=attributes(colour="red"))
    assert gallery.count('attributes.colour = "red"')[0] == 3
    change(("colour", STRING, False), ("size", STRING, False), ("more", INT, False))
    for refused, of in [
        ([("size", STRING, False)], "3 documents have it"),
        ([("colour", INT, False)], "3 documents have it"),
        ([("colour", STRING, False), ("size", STRING, True)], "3 documents lack it"),
        ([("colour", STRING, False), ("brand", STRING, True)], "3 documents lack it"),
    ]:
        reason, message = reason_of(lambda refused=refused: change(*refused))
        assert reason == "SCHEMA_IN_USE"
        assert of in message
        assert "'d0'" in message
    change(("colour", STRING, True))
    assert set(gallery.specification.schema) == {"colour"}
    assert reason_of(lambda: gallery.count("attributes.size > 1"))[0] == "FILTER_INVALID"
    assert gallery.count('attributes.colour = "red"')[0] == 3


def test_writes_that_were_checked_with_a_wider_schema_are_refused(catalog: Catalog, document_of: Make) -> None:
    gallery = catalog.get("gallery")
    wide = [
        collection_pb2.AttributeField(name="colour", type=STRING),
        collection_pb2.AttributeField(name="n", type=INT),
    ]
    update(catalog, "schema", schema=wide)
    document = document_of("late", vector(1), attributes=attributes(colour="red"))
    stale = [
        gallery.prepare_upsert([document], "stale"),
        gallery.prepare_delete_where('attributes.colour = "red"', "stale too"),
    ]
    update(catalog, "schema", schema=wide[1:])
    for one in stale:
        reason, _ = reason_of(lambda one=one: gallery.submit(one).result(WITHIN_S))
        assert reason == "SCHEMA_CHANGED"
    current = gallery.prepare_upsert([document_of("now", vector(2))], "current")
    update(catalog, "schema", schema=[*wide[1:], collection_pb2.AttributeField(name="new", type=INT)])
    gallery.submit(current).result(WITHIN_S)
    assert all_ids(gallery) == ["now"]


@pytest.mark.parametrize("kind", ["IVF4,Flat", "IVF,SQ8", "SQ8", "HNSW16", "Flat"])
def test_another_kind_is_built_beside_and_comes_at_once(
    catalog: Catalog, open_catalog: Callable[..., Catalog], document_of: Make, kind: str
) -> None:
    gallery = catalog.get("gallery")
    write(gallery, document_of, range(700))
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    generation = gallery.shard.snapshot.generation
    operation = ended(catalog, update(catalog, "index.factory", **factory(kind)))
    assert operation.state == operation_pb2.OPERATION_STATE_SUCCEEDED, operation.error
    assert (operation.result, operation.unit) == ("gallery", "documents")
    assert operation.done == operation.total > 0
    described = gallery.describe()
    assert described.index.factory == kind
    assert described.index_generation > generation
    assert gallery.rebuild is None
    expected = {"I": {Structure.CELLS}, "S": {Structure.SCAN}, "H": {Structure.GRAPH}, "F": set()}[kind[0]]
    assert structures(gallery) == expected
    assert all_ids(gallery) == ids(range(700))
    assert update(catalog, "index.factory", **factory(kind)) == ""
    files = gallery.directory / "index"
    if kind != "Flat":
        sealed = {
            f"{view.part.number:012d}" for view in gallery.shard.snapshot.views if view.part.segment.kind[0] != "F"
        }
        assert sealed >= {path.stem for path in files.iterdir()}
    catalog.close()
    again = open_catalog(OPTIONS).get("gallery")
    assert structures(again) == expected
    assert all_ids(again) == ids(range(700))


class Gate:
    """Holds the building of indexes of one kind up."""

    def __init__(self) -> None:
        self.structure: Structure | None = None
        self.begun = threading.Event()
        self.go_on = threading.Event()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    state = Gate()

    build = SealedSegment.build

    def held(vectors: Any, kind: IndexKind, metric: Metric, check: Callable[[int], None]) -> SealedSegment:
        if kind.structure is state.structure and not kind.is_exact:
            state.begun.set()
            assert state.go_on.wait(WITHIN_S)
        return build(vectors, kind, metric, check)

    monkeypatch.setattr(SealedSegment, "build", staticmethod(held))
    yield state
    state.go_on.set()


def test_writes_while_it_is_built_are_in_it(catalog: Catalog, document_of: Make, gate: Gate) -> None:
    gallery = catalog.get("gallery")
    write(gallery, document_of, range(300))
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    gate.structure = Structure.CELLS
    id_ = update(catalog, "index.factory", **factory("IVF4,Flat"))
    assert gate.begun.wait(WITHIN_S)
    write(gallery, document_of, range(100, 160))
    write(gallery, document_of, range(300, 700))
    gallery.submit(gallery.prepare_delete(ids(range(20, 40)), "gone")).result(WITHIN_S)
    assert all_ids(gallery) == ids([*range(20), *range(40, 700)])
    assert structures(gallery) == {Structure.GRAPH}
    assert gallery.describe().index.factory == "HNSW8"

    reason, message = reason_of(lambda: update(catalog, "index.factory", **factory("SQ8")))
    assert (reason, id_ in message) == ("REBUILD_RUNNING", True)
    assert reason_of(lambda: update(catalog, "index.factory", **factory("HNSW8")))[0] == "REBUILD_RUNNING"
    assert update(catalog, "index.factory", **factory("IVF4,Flat")) == id_
    assert update(catalog, "index.defaults", index={"defaults": {"nprobe": 3}}) == ""
    assert gallery.specification.nprobe == 3
    shown = gallery.describe().index
    shown.defaults.ef = 77
    assert update(catalog, "index", index=shown) == ""
    assert (gallery.specification.ef, gallery.describe().index.factory) == (77, "HNSW8")
    gate.go_on.set()
    assert ended(catalog, id_).state == operation_pb2.OPERATION_STATE_SUCCEEDED
    assert structures(gallery) == {Structure.CELLS}
    assert (gallery.specification.nprobe, gallery.specification.ef) == (3, 77)
    assert gallery.describe().index.factory == "IVF4,Flat"
    assert all_ids(gallery) == ids([*range(20), *range(40, 700)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert structures(gallery) == {Structure.CELLS}


def test_a_cancelled_rebuild_leaves_everything_as_it_was(catalog: Catalog, document_of: Make, gate: Gate) -> None:
    gallery = catalog.get("gallery")
    write(gallery, document_of, range(300))
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    before = gallery.describe()
    gate.structure = Structure.SCAN
    id_ = update(catalog, "index.factory", **factory("SQ8"))
    assert gate.begun.wait(WITHIN_S)
    catalog.operations.cancel(id_)
    gate.go_on.set()
    assert ended(catalog, id_).state == operation_pb2.OPERATION_STATE_CANCELLED
    assert gallery.describe() == before
    assert not (gallery.directory / "rebuild").exists()
    assert ended(catalog, update(catalog, "index.factory", **factory("SQ8"))).state == (
        operation_pb2.OPERATION_STATE_SUCCEEDED
    )
    assert structures(gallery) == {Structure.SCAN}


def test_a_collection_may_go_while_it_is_rebuilt(catalog: Catalog, document_of: Make, gate: Gate) -> None:
    gallery = catalog.get("gallery")
    write(gallery, document_of, range(300))
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    gate.structure = Structure.CELLS
    id_ = update(catalog, "index.factory", **factory("IVF4,Flat"))
    assert gate.begun.wait(WITHIN_S)
    deleting = threading.Thread(target=lambda: catalog.delete("gallery", etag=""))
    deleting.start()
    gate.go_on.set()
    deleting.join(WITHIN_S)
    assert not deleting.is_alive()
    state = ended(catalog, id_).state
    assert state in (operation_pb2.OPERATION_STATE_CANCELLED, operation_pb2.OPERATION_STATE_FAILED)
    assert not gallery.directory.exists()


def test_a_rebuild_goes_on_after_a_restart(
    catalog: Catalog, open_catalog: Callable[..., Catalog], document_of: Make, gate: Gate
) -> None:
    gallery = catalog.get("gallery")
    write(gallery, document_of, range(300))
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert structures(gallery) == {Structure.GRAPH}
    gate.structure = Structure.CELLS
    id_ = update(catalog, "index.factory", **factory("IVF4,Flat"))
    assert gate.begun.wait(WITHIN_S)
    closing = threading.Thread(target=catalog.close)
    closing.start()
    gate.go_on.set()
    closing.join(WITHIN_S)
    assert not closing.is_alive()
    again = open_catalog(OPTIONS)
    gallery = again.get("gallery")
    assert ended(again, id_).state == operation_pb2.OPERATION_STATE_SUCCEEDED
    assert structures(gallery) == {Structure.CELLS}
    assert gallery.describe().index.factory == "IVF4,Flat"
    assert all_ids(gallery) == ids(range(300))


def test_a_rebuild_that_cannot_begin_changes_nothing(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, open_catalog: Callable[..., Catalog]
) -> None:
    hold = threading.Event()
    for _ in range(OPTIONS.max_waiting_operations):
        catalog.operations.start(
            operation_pb2.OPERATION_KIND_IMPORT, "x", lambda _: str(hold.wait(WITHIN_S)), unit="bytes"
        )
    before = catalog.get("gallery").describe()
    reason, _ = reason_of(lambda: update(catalog, "index", "description", description="x", **factory("SQ8")))
    hold.set()
    assert reason == "OVERLOADED"
    after = catalog.get("gallery").describe()
    assert (after.index, after.description) == (before.index, before.description)
    assert catalog.get("gallery").rebuild is None
    catalog.close()
    assert open_catalog(OPTIONS).get("gallery").rebuild is None
