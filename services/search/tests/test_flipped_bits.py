"""A wrong bit in any file on disk: a clear error, quarantine of what it is in, or a rebuild; never a wrong answer."""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import waiting
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.storage.log import Revision
from picoseek_search.storage.registry import RegisteredRebuild, Registry

FLIPS = int(os.environ.get("PICOSEEK_SOAK_FLIPS", "12"))
SEED = int(os.environ.get("PICOSEEK_SOAK_SEED", "7"))
WITHIN_S = 60.0
DIMENSION = 8
OPTIONS = EngineOptions(growing_rows=16, graph_rows=48, merge_factor=2, idle_s=0, calibration_delay_s=3600)
EVERYTHING = document_pb2.DocumentMask(vector=True, labels=True, attributes=True, payload=True, provenance=True)
FILES = [
    "stopped/registry.sqlite3",
    "stopped/operations.sqlite3",
    "stopped/collections/*/documents.sqlite3",
    "stopped/collections/*/calibration*",
    "stopped/collections/*/index/*.faiss",
    "stopped/collections/*/index/*.keys",
    "stopped/collections/*/index/*.vectors",
    "stopped/collections/*/rebuild/*.faiss",
    "stopped/collections/*/rebuild/*.keys",
    "stopped/collections/*/rebuild/*.vectors",
    "killed/collections/*/documents.sqlite3",
    "killed/collections/*/documents.sqlite3-wal",
    "killed/registry.sqlite3-wal",
    "killed/operations.sqlite3-wal",
]

_LOG = logging.getLogger(__name__)
Make = Callable[..., document_pb2.Document]


class Book:
    """What was written to one collection, and what it must answer."""

    def __init__(self, name: str, document_of: Make) -> None:
        self.name = name
        self.documents: dict[str, document_pb2.Document] = {}
        self.writes: list[tuple[list[document_pb2.Document], list[str], str, Any]] = []
        self.calibrated: Any = None
        """Documents, revision and time of its calibration."""
        self._make = document_of
        self._random = np.random.default_rng(zlib.crc32(name.encode()))

    def write(self, gallery: Collection, batches: int) -> None:
        for _ in range(batches):
            number = len(self.writes)
            ids = [f"d{one:03d}" for one in self._random.choice(150, 12, replace=False)]
            if number % 4 == 3:
                result = gallery.submit(gallery.prepare_delete(ids, f"r{number}")).result(WITHIN_S)
                self.writes.append(([], ids, f"r{number}", result))
                for id_ in ids:
                    self.documents.pop(id_, None)
                continue
            documents = [
                self._make(
                    id_,
                    self._random.integers(0, 64, DIMENSION),
                    item=f"i{int(id_[1:]) // 3}",
                    labels=[f"l{number % 5}"],
                    payload=os.urandom(40),
                )
                for id_ in ids
            ]
            result = gallery.submit(gallery.prepare_upsert(documents, f"r{number}")).result(WITHIN_S)
            self.writes.append((documents, [], f"r{number}", result))
            self.documents |= {document.id: document for document in documents}

    def questions(self, gallery: Collection) -> Iterator[Callable[[], None]]:
        """Yield checks, each of which may find out about damage."""
        yield lambda: self._search(gallery, exact=True)
        yield lambda: self._search(gallery, exact=False)
        yield lambda: self._list(gallery)
        for label in ("l1", "l3"):
            yield lambda label=label: self._filter(gallery, f"labels:{label}", lambda one: label in one.labels)
        for item in ("i3", "i40"):
            yield lambda item=item: self._filter(gallery, f"item = {item}", lambda one: one.item == item)
        for id_ in sorted(self.documents)[::17]:
            yield lambda id_=id_: self._get(gallery, id_)
        for write in self.writes[::3]:
            yield lambda write=write: self._repeat(gallery, *write)
        yield lambda: self._calibrated(gallery)
        yield lambda: self._write_and_read(gallery)

    def _search(self, gallery: Collection, *, exact: bool) -> None:
        queries = np.random.default_rng(1).integers(0, 64, (3, DIMENSION)).astype(np.float32)
        found = gallery.search(Query(queries, 1000, exact, 16), "", None).found
        stored = {id_: np.frombuffer(one.vector, "<f4") for id_, one in self.documents.items()}
        assert len(found.ids) == 3 * len(self.documents)
        for number, query in enumerate(queries):
            ids = found.ids[found.offsets[number] : found.offsets[number + 1]]
            scores = [float(np.square(stored[id_] - query).sum()) for id_ in ids]
            assert scores == sorted(scores)
            assert scores == found.scores[found.offsets[number] : found.offsets[number + 1]].tolist()
            assert set(ids) == set(stored)

    def _list(self, gallery: Collection) -> None:
        listed = gallery.page("", 1000, "", EVERYTHING)
        assert [one.id for one in listed.documents] == sorted(self.documents)
        for one in listed.documents:
            self._same(one)
        assert listed.revision == Revision(1, len(self.writes))
        assert gallery.count("")[0] == len(self.documents)

    def _filter(self, gallery: Collection, text: str, holds: Callable[[document_pb2.Document], bool]) -> None:
        expected = sorted(id_ for id_, one in self.documents.items() if holds(one))
        assert [one.id for one in gallery.page("", 1000, text, EVERYTHING).documents] == expected
        query = Query(np.zeros((1, DIMENSION), np.float32), 1000, True, 16)
        assert sorted(gallery.search(query, text, None).found.ids) == expected

    def _get(self, gallery: Collection, id_: str) -> None:
        (found,) = gallery.get([id_], EVERYTHING).documents
        self._same(found)

    def _same(self, found: document_pb2.Document) -> None:
        written = self.documents[found.id]
        for name in ("item", "labels", "payload", "vector"):
            assert getattr(found, name) == getattr(written, name)

    def _repeat(
        self, gallery: Collection, documents: list[document_pb2.Document], ids: list[str], request_id: str, first: Any
    ) -> None:
        write = gallery.prepare_upsert(documents, request_id) if documents else gallery.prepare_delete(ids, request_id)
        again = gallery.submit(write).result(WITHIN_S)
        assert again.already_applied
        assert (again.revision, again.counts) == (first.revision, first.counts)

    def _calibrated(self, gallery: Collection) -> None:
        state = gallery.calibrator.state
        assert state is None or (state.documents, state.revision, state.made_at_ns) == self.calibrated

    def _write_and_read(self, gallery: Collection) -> None:
        document = self._make("new", np.full(DIMENSION, 99))
        result = gallery.submit(gallery.prepare_upsert([document], "new")).result(WITHIN_S)
        assert result.revision == Revision(1, len(self.writes) + 1)
        query = Query(np.full((1, DIMENSION), 99, np.float32), 1, True, 16)
        assert gallery.search(query, "", None).found.ids == ["new"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, workers: Workers) -> tuple[Path, dict[str, Book]]:
    """The same files as a stop and as a kill leaves them, and what was written."""
    root = tmp_path_factory.mktemp("flips")
    catalog = Catalog(root / "live", replace(OPTIONS, calibration_delay_s=0), workers)

    def document_of(id_: str, vector: Any, **parts: object) -> document_pb2.Document:
        return document_pb2.Document(id=id_, vector=np.asarray(vector, "<f4").tobytes(), **parts)

    space = embedding_pb2.EmbeddingSpace(digest="sha256:" + "5e" * 32, dimension=DIMENSION)
    books = {}
    for name, factory in (("broken", "SQ8"), ("sound", "HNSW8")):
        index = collection_pb2.IndexConfig(factory=factory)
        asked = collection_pb2.Collection(name=name, space=space, metric=embedding_pb2.METRIC_L2, index=index)
        gallery = catalog.create(asked, if_not_exists=False)[0]
        books[name] = Book(name, document_of)
        books[name].write(gallery, 24)
        assert gallery.shard.compactor.wait_idle(WITHIN_S)
        waiting.until(lambda gallery=gallery: (gallery.directory / "calibration").exists(), WITHIN_S)
        books[name].write(gallery, 4)
    catalog.set_alias("live", "broken")
    broken = catalog.get("broken")
    directory = broken.directory
    for book in books.values():
        calibrator = catalog.get(book.name).calibrator
        # A tenth of the documents has changed: it is measured once more.
        waiting.until(
            lambda book=book, calibrator=calibrator: (
                calibrator.state is not None and calibrator.state.revision.sequence == len(book.writes)
            ),
            WITHIN_S,
        )
    shutil.copytree(root / "live", root / "killed")
    settings = broken.specification.settings
    for name, book in books.items():
        state = catalog.get(name).calibrator.state
        book.calibrated = (state.documents, state.revision, state.made_at_ns)
    catalog.close()
    # As if it had been Flat and stopped while it was built as SQ8.
    shutil.copytree(root / "live", root / "stopped")
    registry = Registry(root / "stopped" / "registry.sqlite3")
    was = collection_pb2.Collection()
    was.CopyFrom(settings)
    was.index.factory = "Flat"
    was.index.ClearField("ef_construction")
    kind = RegisteredRebuild("0123456789abcdef", "SQ8", settings.index.ef_construction)
    assert registry.change(directory.name, was, kind)
    registry.close()
    own = root / "stopped" / "collections" / directory.name
    shutil.copytree(own / "index", own / "rebuild", dirs_exist_ok=True)
    return root, books


def answers_rightly_or_says_why_not(catalog: Catalog, name: str, book: Book) -> bool:
    """Check a collection; returns whether it said that it is damaged."""
    damaged = False
    try:
        gallery = catalog.get(name)
    except ServiceError as error:
        if error.reason != "STORAGE_CORRUPT":
            raise
        return True
    for question in book.questions(gallery):
        try:
            question()
        except ServiceError as error:
            if error.reason != "STORAGE_CORRUPT":
                raise
            damaged = True
    return damaged


@pytest.mark.slow
@pytest.mark.parametrize("pattern", FILES)
def test_no_flipped_bit_is_answered_with(
    written: tuple[Path, dict[str, Book]], workers: Workers, tmp_path: Path, pattern: str
) -> None:
    root, books = written
    random = np.random.default_rng([SEED, zlib.crc32(pattern.encode())])
    state = pattern.partition("/")[0]
    broken = next(path for path in (root / state).glob("collections/*") if _is(path, root, books))
    files = [path for path in sorted(root.glob(pattern)) if "collections" not in pattern or broken in path.parents]
    files = [path for path in files if path.stat().st_size]
    if not files:
        pytest.skip(f"there is no {pattern}")
    refused = damaged = 0
    for number in range(FLIPS):
        copy = tmp_path / str(number)
        shutil.copytree(root / state, copy)
        path = copy / files[number % len(files)].relative_to(root / state)
        content = bytearray(path.read_bytes())
        place, bit = int(random.integers(len(content))), int(random.integers(8))
        content[place] ^= 1 << bit
        path.write_bytes(content)
        try:
            catalog = Catalog(copy, OPTIONS, workers)
        except ServiceError as error:
            if error.reason != "STORAGE_CORRUPT" or "registry" not in pattern:
                raise AssertionError(f"bit {bit} of byte {place} of {path} stops the service") from error
            refused += 1
            continue
        try:
            for name, book in books.items():
                try:
                    found = answers_rightly_or_says_why_not(catalog, name, book)
                except Exception as error:
                    raise AssertionError(f"bit {bit} of byte {place} of {path}: {name}") from error
                damaged += found
                assert not found or name == "broken" or "registry" in pattern
        finally:
            catalog.close()
        shutil.rmtree(copy)
    _LOG.warning("%s: %d flips, %d refused, %d noticed as damage", pattern, FLIPS, refused, damaged)


def _is(path: Path, root: Path, books: dict[str, Book]) -> bool:
    # The collection of compressed vectors keeps them in a file.
    return bool(list(path.glob("index/*.vectors")))
