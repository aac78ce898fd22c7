"""Collections in this process: exactly once, restarts, damage, and what a crash leaves."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import waiting
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2
from picoseek_search.collection import shard_index
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.write_queue import WriteResult
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.storage.data_directory import DataDirectory
from picoseek_search.storage.database import CollectionDatabase
from picoseek_search.storage.log import EmbeddedLog

WITHIN_S = 60.0
Make = Callable[..., document_pb2.Document]
Settings = Callable[..., collection_pb2.Collection]


def vector_of(number: int) -> list[float]:
    return np.random.default_rng(number).standard_normal(8).tolist()


def upsert(collection: Collection, documents: list[document_pb2.Document], request_id: str = "") -> WriteResult:
    request_id = request_id or f"r{collection.shard.snapshot.revision.sequence}"
    return collection.submit(collection.prepare_upsert(documents, request_id)).result(WITHIN_S)


def delete(collection: Collection, ids: list[str], request_id: str = "d") -> WriteResult:
    return collection.submit(collection.prepare_delete(ids, request_id)).result(WITHIN_S)


def find(collection: Collection, number: int, k: int = 1) -> list[str]:
    vectors = collection.specification.metric.prepare(np.array([vector_of(number)], np.float32))
    return collection.search(Query(vectors, k, False, 64), "", None).found.ids


def kinds(collection: Collection) -> list[str]:
    return [segment.kind for segment in collection.describe().segments]


@pytest.fixture
def gallery(open_catalog: Callable[..., Catalog], collection_of: Settings) -> Collection:
    return open_catalog().create(collection_of(), if_not_exists=False)[0]


def test_a_repeated_write_is_answered_as_before_even_after_a_restart(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    first = upsert(gallery, [document_of("a", vector_of(1))], "write-1")
    delete(gallery, ["a"])
    catalog.close()
    gallery = open_catalog().get("gallery")
    again = upsert(gallery, [document_of("a", vector_of(1))], "write-1")
    assert (again.already_applied, again.revision, again.counts) == (True, first.revision, first.counts)
    assert gallery.count("")[0] == 0, "the repeated write was applied again"
    with pytest.raises(ServiceError) as caught:
        upsert(gallery, [document_of("a", vector_of(2))], "write-1")
    assert caught.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(ServiceError) as caught:
        delete(gallery, ["a"], "write-1")
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_what_the_service_sets_is_no_part_of_what_was_asked(gallery: Collection, document_of: Make) -> None:
    upsert(gallery, [document_of("a", vector_of(1))], "write-1")
    read = gallery.get(["a"], document_pb2.DocumentMask(vector=True, provenance=True)).documents[0]
    assert read.provenance.request_id == "write-1"
    assert read.provenance.added_at.seconds > 0
    assert read.vector == document_of("a", vector_of(1)).vector, "the vector is not as it was sent"
    echoed = document_of("a", vector_of(1))
    echoed.provenance.CopyFrom(read.provenance)
    assert upsert(gallery, [echoed], "write-1").already_applied


def test_request_ids_are_remembered_up_to_the_bound(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make
) -> None:
    gallery = open_catalog(EngineOptions(keep_requests=3)).create(collection_of(), if_not_exists=False)[0]
    for number in range(5):
        upsert(gallery, [document_of("a", vector_of(number))], f"r{number}")
    assert upsert(gallery, [document_of("a", vector_of(4))], "r4").already_applied
    assert not upsert(gallery, [document_of("a", vector_of(0))], "r0").already_applied


def test_sealed_indexes_come_back_from_their_files(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(130)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert "HNSW32" in kinds(gallery)
    # One of these is in the index file, and the file does not know.
    upsert(gallery, [document_of("d3", vector_of(1003))])
    delete(gallery, ["d5"])
    catalog.close()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.faiss")}
    assert files

    gallery = open_catalog().get("gallery")
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.faiss")} == files, "built anew"
    assert "HNSW32" in kinds(gallery)
    for number in range(130):
        if number not in (3, 5):
            assert find(gallery, number) == [f"d{number}"]
    assert find(gallery, 1003) == ["d3"]
    assert sorted(find(gallery, 3, 200)) == sorted(f"d{number}" for number in range(130) if number != 5)


@pytest.mark.parametrize("suffix", [".faiss", ".keys"])
def test_a_damaged_or_missing_index_file_costs_time_only(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path, suffix: str
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(130)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    for damage in ("flip", "remove"):
        catalog.close()
        (path, *_) = sorted(tmp_path.rglob(f"*{suffix}"))
        if damage == "flip":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            path.write_bytes(content)
        else:
            path.unlink()
        catalog = open_catalog()
        gallery = catalog.get("gallery")
        for number in range(130):
            assert find(gallery, number) == [f"d{number}"]
        assert gallery.shard.compactor.wait_idle(WITHIN_S)
        assert "HNSW32" in kinds(gallery)


def test_a_damaged_database_sets_its_collection_aside_and_no_other(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog()
    databases: list[Path] = []
    for name in ("broken", "sound"):
        gallery = catalog.create(collection_of(name), if_not_exists=False)[0]
        upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(20)])
        databases += [path for path in tmp_path.rglob("documents.sqlite3") if path not in databases]
    broken = databases[0]
    catalog.close()
    connection = sqlite3.connect(broken)
    (content,) = connection.execute("SELECT vector FROM vectors WHERE row = 7").fetchone()
    connection.close()
    damaged = broken.read_bytes().replace(content, content[:-1] + bytes([content[-1] ^ 1]))
    broken.write_bytes(damaged)

    catalog = open_catalog()
    assert catalog.names() == [("broken", False), ("sound", True)]
    with pytest.raises(ServiceError) as caught:
        catalog.get("broken")
    assert caught.value.reason == "STORAGE_CORRUPT"
    assert find(catalog.get("sound"), 7) == ["d7"]
    catalog.delete("broken", etag="")
    assert catalog.names() == [("sound", True)]


@pytest.mark.parametrize("column", ["id", "item", "labels", "body"])
def test_a_changed_document_is_noticed(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path, column: str
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(gallery, [document_of("ab", vector_of(1), labels=["x"])])
    (path,) = tmp_path.rglob("documents.sqlite3")
    connection = sqlite3.connect(path)
    if column == "labels":
        connection.execute("UPDATE documents SET labels = ?", (json.dumps(["y"]),))
    else:
        connection.execute(f"UPDATE documents SET {column} = substr({column}, 1, length({column}) - 1)")
    connection.commit()
    connection.close()
    with pytest.raises(ServiceError) as caught:
        gallery.page("", 10, "", document_pb2.DocumentMask(labels=True))
    assert caught.value.reason == "STORAGE_CORRUPT"
    catalog.close()
    assert open_catalog().names() == [("gallery", False)]


def test_a_lost_database_is_no_empty_collection(
    open_catalog: Callable[..., Catalog], collection_of: Settings, tmp_path: Path
) -> None:
    _make_and_close(open_catalog, collection_of)
    for path in tmp_path.rglob("documents.sqlite3*"):
        path.unlink()
    assert open_catalog().names() == [("gallery", False)]


def test_two_processes_cannot_use_one_directory(open_catalog: Callable[..., Catalog]) -> None:
    open_catalog()
    with pytest.raises(OSError, match="in use by another process"):
        open_catalog()


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory")
    with pytest.raises(OSError, match=r"data_dir .*data cannot be used as a directory: .*; choose another"):
        DataDirectory(tmp_path / "data")


def test_leftovers_of_a_crash_are_removed_and_nothing_else(
    open_catalog: Callable[..., Catalog], collection_of: Settings, tmp_path: Path
) -> None:
    _make_and_close(open_catalog, collection_of)
    collections = tmp_path / "collections"
    (existing,) = collections.iterdir()
    # Killed after the directory was made and before the collection existed.
    connection = sqlite3.connect(tmp_path / "registry.sqlite3")
    connection.execute("INSERT INTO discarded (directory) VALUES ('half-made')")
    connection.commit()
    connection.close()
    (collections / "half-made").mkdir()
    (collections / "not-ours").mkdir()
    assert open_catalog().names() == [("gallery", True)]
    assert {path.name for path in collections.iterdir()} == {existing.name, "not-ours"}


def test_collections_without_their_list_are_no_empty_service(
    open_catalog: Callable[..., Catalog], collection_of: Settings, tmp_path: Path
) -> None:
    _make_and_close(open_catalog, collection_of)
    registry = tmp_path / "registry.sqlite3"
    for leftover in tmp_path.glob("registry.sqlite3-*"):
        leftover.unlink()
    kept = registry.rename(tmp_path / "kept")
    with pytest.raises(OSError, match=r"registry\.sqlite3, the list of collections, is gone.*restore"):
        open_catalog()
    assert not registry.exists()
    kept.rename(registry)
    assert open_catalog().names() == [("gallery", True)]


def test_a_damaged_list_of_collections_says_what_can_be_done(
    open_catalog: Callable[..., Catalog], collection_of: Settings, tmp_path: Path
) -> None:
    _make_and_close(open_catalog, collection_of)
    registry = tmp_path / "registry.sqlite3"
    content = registry.read_bytes()
    registry.write_bytes(content[:4096] + bytes(4096) + content[8192:])
    with pytest.raises(ServiceError, match=r"the list of collections, is damaged .*: put it back") as caught:
        open_catalog()
    assert caught.value.reason == "STORAGE_CORRUPT" and "\n" not in caught.value.message


def test_a_name_can_be_used_again_after_its_collection_was_removed(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog()
    old = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(old, [document_of("a", vector_of(1))])
    assert catalog.delete("gallery", etag=old.specification.etag) == 1
    assert not list((tmp_path / "collections").iterdir())
    new = catalog.create(collection_of(dimension=4), if_not_exists=False)[0]
    assert new.count("")[0] == 0
    for use in (lambda: old.count(""), lambda: upsert(old, [document_of("b", vector_of(1))])):
        with pytest.raises(ServiceError) as caught:
            use()
        assert caught.value.reason == "COLLECTION_NOT_FOUND"


def test_create_again(open_catalog: Callable[..., Catalog], collection_of: Settings) -> None:
    catalog = open_catalog()
    made = catalog.create(collection_of(), if_not_exists=True)
    assert made[1]
    assert catalog.create(collection_of(), if_not_exists=True) == (made[0], False)
    for request, if_not_exists in ((collection_of(), False), (collection_of(dimension=9), True)):
        with pytest.raises(ServiceError) as caught:
            catalog.create(request, if_not_exists=if_not_exists)
        assert caught.value.reason == "COLLECTION_EXISTS"
    with pytest.raises(ServiceError) as caught:
        catalog.delete("gallery", etag="stale")
    assert caught.value.reason == "ETAG_MISMATCH"


def test_writes_that_wait_share_a_transaction(gallery: Collection, document_of: Make) -> None:
    documents = [document_of(f"d{number}", vector_of(number)) for number in range(50)]
    writes = [gallery.prepare_upsert([document], f"r{document.id}") for document in documents]
    seen: set[int] = set()
    with gallery.shard.index.lock:
        for write in writes:
            gallery.submit(write)
    while wait([write.future for write in writes], 0).not_done:
        seen.add(gallery.shard.snapshot.revision.sequence)
    assert [write.future.result().revision.sequence for write in writes] == list(range(1, 51))
    # The first ones found nobody at work; the others came while those waited for the lock.
    assert len(seen - {0, 50}) <= 1


def test_a_cancelled_write_that_waits_is_not_applied(gallery: Collection, document_of: Make) -> None:
    with gallery.shard.index.lock:
        running = gallery.prepare_upsert([document_of("a", vector_of(1))], "r1")
        gallery.submit(running)
        waiting.until(running.future.running, WITHIN_S)
        cancelled = gallery.prepare_upsert([document_of("b", vector_of(2))], "r2")
        last = gallery.prepare_upsert([document_of("c", vector_of(3))], "r3")
        gallery.submit(cancelled)
        gallery.submit(last)
        assert cancelled.future.cancel()
    last.future.result(WITHIN_S)
    assert [document.id for document in gallery.page("", 10, "", document_pb2.DocumentMask()).documents] == ["a", "c"]


def test_the_log_holds_the_newest_writes_in_order(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog(EngineOptions(keep_log_records=3))
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    for number in range(3):
        upsert(gallery, [document_of(f"d{number}", vector_of(number))], f"r{number}")
    delete(gallery, ["d0"], "gone")
    gallery.submit(gallery.prepare_delete_where("id = d1", "filtered")).result(WITHIN_S)
    catalog.close()
    (path,) = tmp_path.rglob("documents.sqlite3")
    database = CollectionDatabase(path, create=False)
    records = list(EmbeddedLog(database.writer, 3).read(0, 0))
    database.close(lambda: errors.not_found("CLOSED", "closed"))
    assert [(record.sequence, record.request_id, record.WhichOneof("change")) for record in records] == [
        (3, "r2", "upsert"),
        (4, "gone", "delete"),
        (5, "filtered", "delete_by_filter"),
    ]
    assert records[0].upsert.documents[0].provenance.request_id == "r2"


def test_files_of_an_index_and_of_what_it_was_built_from_show_each_row_once(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(70)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    (index,) = tmp_path.rglob("index")
    old = {path.name: path.read_bytes() for path in index.iterdir()}
    assert old
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(70, 200)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    catalog.close()
    # Killed after the new index was kept and before the old one was removed.
    for name, content in old.items():
        (index / name).write_bytes(content)
    gallery = open_catalog().get("gallery")
    assert gallery.shard.snapshot.live_rows == 200
    assert sorted(find(gallery, 1, 500)) == sorted(f"d{number}" for number in range(200))


def test_documents_that_go_while_their_index_is_built_do_not_come_back(
    gallery: Collection, document_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    building, go_on = threading.Event(), threading.Event()
    build = SealedSegment.build

    def slow(*arguments: object) -> SealedSegment:
        building.set()
        assert go_on.wait(WITHIN_S)
        return build(*arguments)

    monkeypatch.setattr(SealedSegment, "build", slow)
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(40)])
    assert building.wait(WITHIN_S)
    delete(gallery, ["d3"])
    upsert(gallery, [document_of("d4", vector_of(1004))])
    assert sorted(find(gallery, 1, 100)) == sorted(f"d{number}" for number in range(40) if number != 3)
    go_on.set()
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert find(gallery, 1004) == ["d4"]
    assert sorted(find(gallery, 1, 100)) == sorted(f"d{number}" for number in range(40) if number != 3)


def test_writes_of_one_transaction_may_undo_each_other(gallery: Collection, document_of: Make) -> None:
    with gallery.shard.index.lock:
        writes = [
            gallery.prepare_upsert([document_of("a", vector_of(1)), document_of("b", vector_of(2))], "r1"),
            gallery.prepare_upsert([document_of("a", vector_of(3))], "r2"),
            gallery.prepare_delete(["b"], "r3"),
            gallery.prepare_upsert([document_of("b", vector_of(4))], "r4"),
            gallery.prepare_delete(["a"], "r5"),
            gallery.prepare_upsert([document_of("b", vector_of(4))], "r4"),
            gallery.prepare_upsert([document_of("b", vector_of(5))], "r4"),
        ]
        for write in writes:
            gallery.submit(write)
    counts = [write.future.result(WITHIN_S).counts for write in writes[:5]]
    assert [(count.inserted, count.replaced, count.deleted) for count in counts] == [
        (2, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 0, 0),
        (0, 0, 1),
    ]
    assert writes[5].future.result(WITHIN_S).already_applied
    with pytest.raises(ServiceError, match="use a new one"):
        writes[6].future.result(WITHIN_S)
    assert find(gallery, 4, 10) == ["b"]
    assert gallery.shard.snapshot.revision.sequence == 5


def test_a_failed_transaction_leaves_nothing_behind(
    gallery: Collection, document_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert(gallery, [document_of("a", vector_of(1))])
    with monkeypatch.context() as patch:
        patch.setattr(ShardIndex, "publish", lambda *_: pytest.fail("published"))
        patch.setattr(shard_index, "_appended", _fail_after(shard_index._appended))
        write = gallery.prepare_upsert([document_of(f"d{number}", vector_of(number)) for number in range(20)], "r2")
        with pytest.raises(MemoryError):
            gallery.submit(write).result(WITHIN_S)
    assert gallery.count("")[0] == 1
    assert find(gallery, 2, 10) == ["a"]
    assert not upsert(gallery, [document_of("b", vector_of(2))], "r2").already_applied
    assert find(gallery, 2) == ["b"]
    assert gallery.shard.snapshot.live_rows == 2


def _fail_after(appended: Callable[..., object]) -> Callable[..., object]:
    calls: list[object] = []

    def fail(*arguments: object) -> object:
        if calls:
            raise MemoryError
        calls.append(arguments)
        return appended(*arguments)

    return fail


def test_one_item_with_many_references_does_not_hide_the_others(gallery: Collection, document_of: Make) -> None:
    near = [document_of(f"near{number}", [1.0, number / 1000, 0, 0, 0, 0, 0, 0], item="near") for number in range(100)]
    far = [document_of(f"far{number}", [0.1, 1, number, 0, 0, 0, 0, 0], item=f"far{number % 3}") for number in range(9)]
    upsert(gallery, near + far)
    query = np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    for k, limit, expected in ((4, 1, 4), (50, 1, 4), (8, 2, 8), (50, 2, 8), (50, 30, 39)):
        found = gallery.search(Query(query, k, False, 16, None, limit), "", None).found
        assert len(found.ids) == expected
        assert max(found.items.count(item) for item in found.items) <= limit
        assert {"near", "far0", "far1", "far2"} == set(found.items)


def test_a_full_disk_refuses_the_write_and_nothing_else(gallery: Collection, document_of: Make) -> None:
    upsert(gallery, [document_of("a", vector_of(1))], "r1")
    writer = gallery.shard.database.writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    big = [document_of(f"d{number}", vector_of(number), payload=bytes(60_000)) for number in range(5)]
    with pytest.raises(ServiceError) as caught:
        upsert(gallery, big, "r2")
    assert caught.value.reason == "DISK_FULL"
    assert caught.value.retry_after_s
    assert find(gallery, 2, 10) == ["a"]
    assert gallery.count("")[0] == 1
    writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert not upsert(gallery, big, "r2").already_applied
    assert len(find(gallery, 2, 10)) == 6


def test_an_index_that_cannot_be_kept_is_used_all_the_same(
    open_catalog: Callable[..., Catalog], collection_of: Settings, document_of: Make, tmp_path: Path
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    (index,) = tmp_path.rglob("index")
    index.rmdir()
    upsert(gallery, [document_of(f"d{number}", vector_of(number)) for number in range(70)])
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert "HNSW32" in kinds(gallery)
    catalog.close()
    gallery = open_catalog().get("gallery")
    assert sorted(find(gallery, 1, 100)) == sorted(f"d{number}" for number in range(70))


def test_a_list_of_collections_whose_tables_have_lost_their_names_is_damaged(
    open_catalog: Callable[..., Catalog], collection_of: Settings, tmp_path: Path
) -> None:
    _make_and_close(open_catalog, collection_of)
    registry = tmp_path / "registry.sqlite3"
    content = registry.read_bytes()
    assert b"CREATE TABLE collections" in content
    registry.write_bytes(content.replace(b"CREATE TABLE collections", b"CREATE TABLE \xe3ollections"))
    with pytest.raises(ServiceError) as caught:
        open_catalog()
    assert caught.value.reason == "STORAGE_CORRUPT"


@pytest.mark.parametrize(
    ("column", "value"),
    [("item", "')ther'"), ("body", "17"), ("body", "'text'"), ("sequence", "99"), ("labels", "'[]'")],
)
def test_a_changed_column_of_the_table_alone_is_damage(
    open_catalog: Callable[..., Catalog],
    collection_of: Settings,
    document_of: Make,
    tmp_path: Path,
    column: str,
    value: str,
) -> None:
    catalog = open_catalog()
    gallery = catalog.create(collection_of(), if_not_exists=False)[0]
    upsert(gallery, [document_of(f"d{number}", vector_of(number), item="other", labels=["l"]) for number in range(5)])
    catalog.close()
    path = next(tmp_path.glob("collections/*/documents.sqlite3"))
    # As a changed bit of a page of the table would, behind the back of indexes and types.
    with _schema_of(path) as connection:
        kept = connection.execute("SELECT * FROM sqlite_schema WHERE tbl_name = 'documents'").fetchall()
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'documents_by_item'")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'documents'")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE documents SET {column} = {value} WHERE id = 'd3'")
    with _schema_of(path) as connection:
        connection.execute("DELETE FROM sqlite_schema WHERE tbl_name = 'documents'")
        connection.executemany("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", kept)
    with closing(sqlite3.connect(path)) as connection:
        by_item = "SELECT count(*) FROM documents INDEXED BY documents_by_item WHERE shard = 0 AND item = 'other'"
        assert connection.execute(by_item).fetchone() == (5,)
    with pytest.raises(ServiceError) as caught:
        open_catalog().get("gallery")
    assert caught.value.reason == "STORAGE_CORRUPT"


def _make_and_close(open_catalog: Callable[..., Catalog], collection_of: Settings) -> None:
    catalog = open_catalog()
    catalog.create(collection_of(), if_not_exists=False)
    catalog.close()


@contextmanager
def _schema_of(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        yield connection
