"""Snapshots of collections in this process: what is in them, what is written, and what becomes of damage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import snapshot_places
import waiting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.workers import Workers
from picoseek_search.operations.progress import OperationStoppedError, Progress
from picoseek_search.snapshots.object_store import ObjectStore
from picoseek_search.snapshots.snapshot_library import SnapshotLibrary
from picoseek_search.snapshots.snapshot_reader import SnapshotReader
from picoseek_search.snapshots.snapshot_writer import SnapshotWriter
from snapshot_places import Place

WITHIN_S = 120.0
DIMENSION = 8
EVERYTHING = document_pb2.DocumentMask(vector=True, labels=True, attributes=True, payload=True, provenance=True)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with snapshot_places.s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return snapshot_places.folder(tmp_path / "snapshots")
    found = snapshot_places.bucket(request.getfixturevalue("s3"), tmp_path.name.lower().replace("_", "-"))
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def library(place: Place) -> SnapshotLibrary:
    return SnapshotLibrary(ObjectStore(place.location))


@pytest.fixture
def catalog(open_catalog: Callable[..., Catalog]) -> Catalog:
    return open_catalog()


SPACE = "sha256:" + "5e" * 32


def make(
    catalog: Catalog, name: str = "g", factory: str = "HNSW8", dimension: int = DIMENSION, space: str = SPACE
) -> Collection:
    asked = collection_pb2.Collection(
        name=name,
        space=embedding_pb2.EmbeddingSpace(digest=space, dimension=dimension),
        metric=embedding_pb2.METRIC_L2,
        index=collection_pb2.IndexConfig(factory=factory),
        schema=[collection_pb2.AttributeField(name="size", type=collection_pb2.ATTRIBUTE_TYPE_INT)],
    )
    return catalog.create(asked, if_not_exists=False)[0]


def documents(ids: range | list[int], version: int = 0, payload: bytes = b"") -> list[document_pb2.Document]:
    found = []
    for number in ids:
        vector = np.random.default_rng([number, version]).standard_normal(DIMENSION).astype("<f4")
        document = document_pb2.Document(
            id=f"d{number}", item=f"i{number // 3}", labels=[f"v{version}"], vector=vector.tobytes(), payload=payload
        )
        document.attributes["size"].int_value = number
        found.append(document)
    return found


def write(collection: Collection, some: list[document_pb2.Document], request_id: str) -> None:
    collection.submit(collection.prepare_upsert(some, request_id)).result(WITHIN_S)


def contents(collection: Collection) -> list[document_pb2.Document]:
    found: list[document_pb2.Document] = []
    while page := collection.page(found[-1].id if found else "", 1000, "", EVERYTHING).documents:
        found += page
    return found


def snapshot(library: SnapshotLibrary, collection: Collection, name: str) -> str:
    return SnapshotWriter(library, collection, Progress()).write(name)


def restore(
    library: SnapshotLibrary, catalog: Catalog, name: str, target: str, *, overwrite: bool = False, of: str = "g"
) -> Collection:
    return SnapshotReader(library, of, name, Progress()).restore(catalog, target, overwrite=overwrite)


def reason_of(error: pytest.ExceptionInfo[ServiceError]) -> str:
    return error.value.reason


def test_a_restored_collection_is_the_one_it_was(
    place: Place, library: SnapshotLibrary, catalog: Catalog, open_catalog: Callable[..., Catalog], tmp_path: Path
) -> None:
    collection = make(catalog)
    for batch in range(5):
        write(collection, documents(range(batch * 30, batch * 30 + 40), batch), f"w{batch}")
    collection.submit(collection.prepare_delete(["d3", "d77"], "gone")).result(WITHIN_S)
    assert collection.shard.compactor.wait_idle(WITHIN_S)
    before, revision = contents(collection), collection.shard.snapshot.revision
    snapshot(library, collection, "one")
    write(collection, documents([1000]), "later")
    elsewhere = open_catalog(root=tmp_path / "elsewhere")
    for restored in (restore(library, catalog, "one", "beside"), restore(library, elsewhere, "one", "g")):
        assert contents(restored) == before
        assert restored.shard.snapshot.revision.sequence == revision.sequence
        assert restored.shard.snapshot.revision.epoch > revision.epoch
        assert any(view.part.segment.kind.startswith("HNSW") for view in restored.shard.snapshot.views)
        settings_ = restored.specification.settings
        assert (settings_.index, list(settings_.schema)) == (
            collection.specification.settings.index,
            list(collection.specification.settings.schema),
        )
        repeated = restored.submit(restored.prepare_upsert(documents(range(120, 160), 4), "w4")).result(WITHIN_S)
        assert repeated.already_applied
        written = restored.submit(restored.prepare_upsert(documents([5000]), "new")).result(WITHIN_S)
        assert (written.revision.sequence, written.counts.inserted) == (revision.sequence + 1, 1)
    identity = elsewhere.get("g").identity
    elsewhere.close()
    again = open_catalog(root=tmp_path / "elsewhere").get("g")
    assert (again.identity, len(contents(again))) == (identity, len(before) + 1)
    assert again.history.ended == {revision.epoch: revision.sequence}


def test_a_second_snapshot_writes_what_has_changed(place: Place, library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog, factory="Flat")
    payload = bytes(20_000)
    for batch in range(5):
        write(collection, documents(range(batch * 100, batch * 100 + 100), payload=payload), f"w{batch}")
    snapshot(library, collection, "one")
    all_bytes = sum(place.objects("blobs").values())
    assert all_bytes > 500 * len(payload)
    snapshot(library, collection, "same")
    assert sum(place.objects("blobs").values()) == all_bytes
    write(collection, documents([7, 600], 1, payload), "w6")
    snapshot(library, collection, "two")
    grown = sum(place.objects("blobs").values()) - all_bytes
    assert 2 * len(payload) < grown < 20 * len(payload)
    manifest, _ = library.get("g", "two")
    assert manifest.new_bytes == grown
    expected = contents(collection)
    restored = restore(library, catalog, "one", "g", overwrite=True)
    assert len(contents(restored)) == 500
    kept = sum(place.objects("blobs").values())
    snapshot(library, restored, "after-restore")
    assert sum(place.objects("blobs").values()) - kept < len(payload)
    assert contents(restore(library, catalog, "two", "two")) == expected
    assert len(contents(restore(library, catalog, "after-restore", "three"))) == 500


def test_deleting_leaves_what_others_need(place: Place, library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog)
    write(collection, documents(range(200)), "a")
    snapshot(library, collection, "one")
    write(collection, documents(range(150, 250), 1), "b")
    snapshot(library, collection, "two")
    expected = contents(collection)
    library.remove("g", "one")
    library.collect("g", Progress())
    needed = library.get("g", "two")[0].blobs()
    assert {path.rpartition("/")[2] for path in place.objects("blobs")} == set(needed)
    assert contents(restore(library, catalog, "two", "r")) == expected
    library.remove("g", "two")
    library.collect("g", Progress())
    assert place.objects() == {}
    with pytest.raises(ServiceError) as error:
        restore(library, catalog, "two", "s")
    assert reason_of(error) == "SNAPSHOT_NOT_FOUND"


def test_blobs_stay_while_another_snapshot_is_being_made(
    place: Place, library: SnapshotLibrary, catalog: Catalog
) -> None:
    collection = make(catalog)
    write(collection, documents(range(20)), "a")
    snapshot(library, collection, "one")
    blobs = place.objects("blobs")
    with library.marks("g").writing(lambda: None):
        library.remove("g", "one")
        library.collect("g", Progress())
        assert place.objects("blobs") == blobs
    library.collect("g", Progress())
    assert place.objects("blobs") == {}


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "shortened", "missing"])
def test_damage_is_named_and_nothing_is_restored(
    damage: str, place: Place, library: SnapshotLibrary, catalog: Catalog, tmp_path: Path
) -> None:
    collection = make(catalog)
    write(collection, documents(range(100)), "a")
    assert collection.shard.compactor.wait_idle(WITHIN_S)
    snapshot(library, collection, "one")
    before = contents(collection)
    manifest, _ = library.get("g", "one")
    kinds = {
        manifest.live.sha256,
        manifest.document_segments[0].blob.sha256,
        manifest.request_segments[0].blob.sha256,
        *(blob.sha256 for blob in manifest.indexes[0].files.values()),
        "manifests/one",
    }
    assert len(kinds) == 6
    for path in [path for path in place.objects() if any(path.endswith(kind) for kind in kinds)]:
        content = place.read(path)
        middle = len(content) // 2
        if damage == "missing":
            place.delete(path)
        elif damage == "shortened":
            place.write(path, content[:-1])
        else:
            place.write(path, content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        is_gone = damage == "missing" and path.endswith("manifests/one")
        for attempt in (
            lambda: SnapshotReader(library, "g", "one", Progress()).verify(),
            lambda: restore(library, catalog, "one", "beside"),
            lambda: restore(library, catalog, "one", "g", overwrite=True),
        ):
            with pytest.raises(ServiceError) as error:
                attempt()
            assert reason_of(error) == ("SNAPSHOT_NOT_FOUND" if is_gone else "SNAPSHOT_DAMAGED")
            assert is_gone or path in error.value.message
        assert [name for name, _ in catalog.names()] == ["g"]
        assert catalog.get("g") is collection
        assert len(list((tmp_path / "collections").iterdir())) == 1
        place.write(path, content)
    SnapshotReader(library, "g", "one", Progress()).verify()
    assert contents(restore(library, catalog, "one", "g", overwrite=True)) == before


@pytest.mark.parametrize("kind", ["documents", "requests", "index"])
def test_a_snapshot_does_not_rest_on_what_is_damaged(kind: str, catalog: Catalog, tmp_path: Path) -> None:
    place = snapshot_places.folder(tmp_path / "snapshots")
    library = SnapshotLibrary(ObjectStore(place.location))
    collection = make(catalog)
    write(collection, documents(range(100)), "a")
    assert collection.shard.compactor.wait_idle(WITHIN_S)
    snapshot(library, collection, "one")
    manifest, _ = library.get("g", "one")
    blob = {
        "documents": manifest.document_segments[0].blob,
        "requests": manifest.request_segments[0].blob,
        "index": next(iter(manifest.indexes[0].files.values())),
    }[kind]
    (path,) = [path for path in place.objects() if path.endswith(blob.sha256)]
    content = place.read(path)
    place.write(path, content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    with pytest.raises(ServiceError) as error:
        SnapshotReader(library, "g", "one", Progress()).verify()
    assert reason_of(error) == "SNAPSHOT_DAMAGED"
    snapshot(library, collection, "two")
    # What was damaged is written anew, which mends the first one, too.
    for name in ("one", "two"):
        SnapshotReader(library, "g", name, Progress()).verify()
    assert place.read(path) == content


def test_revisions_after_a_restore(library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog)
    write(collection, documents([1]), "a")
    snapshot(library, collection, "one")
    held = collection.shard.snapshot.revision
    write(collection, documents([2]), "b")
    lost = collection.shard.snapshot.revision
    restored = restore(library, catalog, "one", "g", overwrite=True)
    now = restored.shard.snapshot.revision
    assert now > lost > held
    assert restored.history.contains(held, now.epoch)
    assert not restored.history.contains(lost, now.epoch)
    with pytest.raises(ServiceError) as error:
        collection.submit(collection.prepare_upsert(documents([3]), "c")).result(WITHIN_S)
    assert reason_of(error) == "COLLECTION_RESTORED"
    stranger = make(catalog, "stranger")
    write(stranger, documents([9]), "a")
    of_stranger = stranger.shard.snapshot.revision
    over = restore(library, catalog, "one", "stranger", overwrite=True)
    assert not over.history.contains(of_stranger, over.shard.snapshot.revision.epoch)


def test_another_collection_is_replaced_only_by_vectors_of_its_space(
    library: SnapshotLibrary, catalog: Catalog
) -> None:
    collection = make(catalog)
    write(collection, documents([1]), "a")
    snapshot(library, collection, "one")
    before = contents(collection)
    other = make(catalog, "other", space="sha256:" + "07" * 32)
    write(other, documents([2]), "a")
    kept = contents(other)
    with pytest.raises(ServiceError) as error:
        restore(library, catalog, "one", "other", overwrite=True)
    assert reason_of(error) == "EMBEDDING_SPACE_MISMATCH"
    assert catalog.get("other") is other and contents(other) == kept
    catalog.delete("g", etag="")
    make(catalog, space="sha256:" + "07" * 32)
    assert contents(restore(library, catalog, "one", "g", overwrite=True)) == before


def test_names_and_what_is_there_already(library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog)
    snapshot(library, collection, "one")
    made = snapshot(library, collection, "")
    assert [one.name for one in library.of("g")] == sorted([made, "one"])
    with pytest.raises(ServiceError) as error:
        snapshot(library, collection, "one")
    assert reason_of(error) == "SNAPSHOT_EXISTS"
    with pytest.raises(ServiceError) as error:
        restore(library, catalog, "one", "g")
    assert reason_of(error) == "COLLECTION_EXISTS"
    for name in ("../one", "/etc/passwd", "a/b", "", "A", ".", "x" * 65):
        with pytest.raises(ServiceError) as error:
            library.get("g", name)
        assert reason_of(error) == "SNAPSHOT_INVALID"
        with pytest.raises(ServiceError) as error:
            library.remove(name, "one")
        assert reason_of(error) == "SNAPSHOT_INVALID"
    assert contents(restore(library, catalog, "one", "empty")) == []


def test_one_of_two_of_the_same_name_comes_to_be(place: Place, library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog)
    write(collection, documents(range(100)), "a")
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            outcomes.append(snapshot(library, collection, "one"))
        except ServiceError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert sorted(outcomes) == ["SNAPSHOT_EXISTS"] * 3 + ["one"]
    assert contents(restore(library, catalog, "one", "r")) == contents(collection)
    assert place.objects("writing") == place.objects("removing") == {}


class StoppingAt(Progress):
    """Stops the work at one of its looks."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self.looks = 0
        self.look = look

    def check(self) -> None:
        self.looks += 1
        if self.looks == self.look:
            raise OperationStoppedError


@pytest.mark.slow
def test_what_is_stopped_leaves_nothing(
    place: Place, library: SnapshotLibrary, catalog: Catalog, tmp_path: Path
) -> None:
    collection = make(catalog)
    write(collection, documents(range(100)), "a")
    assert collection.shard.compactor.wait_idle(WITHIN_S)
    counted = StoppingAt(0)
    SnapshotWriter(library, collection, counted).write("one")
    blobs = place.objects("blobs")
    write(collection, documents(range(60), 1), "b")
    # How often a writer looks is up to the files of indexes that there are.
    assert collection.shard.compactor.wait_idle(WITHIN_S)
    for look in range(1, 4):
        with pytest.raises(OperationStoppedError):
            SnapshotWriter(library, collection, StoppingAt(look)).write("two")
        assert place.objects("blobs") == blobs
        assert place.objects("writing") == {}
    counted = StoppingAt(0)
    SnapshotReader(library, "g", "one", counted).restore(catalog, "r", overwrite=False)
    assert counted.looks > 5
    for look in range(1, counted.looks + 1):
        with pytest.raises(OperationStoppedError):
            SnapshotReader(library, "g", "one", StoppingAt(look)).restore(catalog, "g", overwrite=True)
        assert catalog.get("g") is collection
    assert len(list((tmp_path / "collections").iterdir())) == 2


@pytest.mark.slow
def test_a_snapshot_under_load_is_the_collection_at_its_revision(library: SnapshotLibrary, catalog: Catalog) -> None:
    collection = make(catalog)
    write(collection, documents(range(300)), "first")
    model = {document.id: document.labels[0] for document in documents(range(300))}
    states = {collection.shard.snapshot.revision.sequence: dict(model)}
    stop = threading.Event()

    def churn() -> None:
        random = np.random.default_rng(3)
        for number in range(100_000):
            if stop.is_set():
                return
            some = sorted({int(one) for one in random.integers(0, 400, 12)})
            if number % 3:
                change = collection.prepare_upsert(documents(some, number), f"w{number}")
                model.update({f"d{one}": f"v{number}" for one in some})
            else:
                change = collection.prepare_delete([f"d{one}" for one in some], f"w{number}")
                for one in some:
                    model.pop(f"d{one}", None)
            states[collection.submit(change).result(WITHIN_S).revision.sequence] = dict(model)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        names = []
        for number in range(6):
            begun = len(states)
            waiting.until(lambda begun=begun: len(states) > begun + 3, WITHIN_S)
            names.append(snapshot(library, collection, f"s{number}"))
    finally:
        stop.set()
        thread.join(WITHIN_S)
    for name in names:
        restored = restore(library, catalog, name, name)
        found = {document.id: document.labels[0] for document in contents(restored)}
        assert found == states[restored.shard.snapshot.revision.sequence]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["upsert", "delete", "snapshot", "remove", "over"]),
            st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True),
        ),
        min_size=4,
        max_size=20,
    )
)
def test_every_snapshot_is_what_the_model_was(
    steps: list[tuple[str, list[int]]], workers: Workers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("model")
    library = SnapshotLibrary(ObjectStore(str(root / "snapshots")))
    catalog = Catalog(root / "data", EngineOptions(growing_rows=8, graph_rows=16, merge_factor=2, idle_s=0), workers)
    try:
        collection = make(catalog)
        model: dict[str, str] = {}
        taken: dict[str, dict[str, str]] = {}
        for number, (step, some) in enumerate([*steps, ("snapshot", [0])]):
            if step == "upsert":
                write(collection, documents(some, number), f"w{number}")
                model |= {f"d{one}": f"v{number}" for one in some}
            elif step == "delete":
                change = collection.prepare_delete([f"d{one}" for one in some], f"w{number}")
                collection.submit(change).result(WITHIN_S)
                model = {id_: label for id_, label in model.items() if int(id_[1:]) not in some}
            elif step == "snapshot":
                taken[snapshot(library, collection, f"s{number}")] = dict(model)
            elif taken:
                name = sorted(taken)[some[0] % len(taken)]
                if step == "remove":
                    library.remove("g", name)
                    library.collect("g", Progress())
                    del taken[name]
                else:
                    collection = restore(library, catalog, name, "g", overwrite=True)
                    model = dict(taken[name])
        for name, expected in taken.items():
            restored = restore(library, catalog, name, name)
            assert {one.id: one.labels[0] for one in contents(restored)} == expected
    finally:
        catalog.close()
