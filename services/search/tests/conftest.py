"""Collections in this process, and the real service as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
import waiting
from google.rpc import error_details_pb2, status_pb2
from picoseek_protos.v1 import (
    collection_pb2,
    collection_service_pb2_grpc,
    document_pb2,
    embedding_pb2,
    search_pb2,
    search_service_pb2_grpc,
)
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.workers import Workers
from picoseek_search.segment import full_vectors, index_file
from picoseek_search.segment.factory import parse_factory
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment

SPACE = "sha256:" + "5e" * 32
WITHIN_S = 120.0


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Threads for collections in this process."""
    started = Workers.start(search_threads=2, read_threads=2, write_threads=2, build_threads=1)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def build_segment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SealedSegment]:
    """Builds segments over prepared vectors by factory string; the files of one lie at `stem`."""

    def build(rows: np.ndarray, factory: str, metric: Metric, stem: Path | None = None, **more: int) -> SealedSegment:
        kind = parse_factory(factory, **({"ef_construction": 80} | more)).for_rows(len(rows), 1)
        if not kind.is_compressed:
            return SealedSegment.build(rows, kind, metric)
        path = index_file.vectors_path(stem or tmp_path_factory.mktemp("segment") / "1")
        dimension = rows.shape[1]
        return SealedSegment.build(full_vectors.write(path, np.array_split(rows, 3), dimension, metric), kind, metric)

    return build


@pytest.fixture
def small_options() -> EngineOptions:
    """Sizes at which a few dozen rows are sealed and merged."""
    return EngineOptions(growing_rows=16, graph_rows=48, merge_factor=2, idle_s=0)


@pytest.fixture
def open_catalog(tmp_path: Path, workers: Workers, small_options: EngineOptions) -> Iterator[Callable[..., Catalog]]:
    """Opens the collections of this test's directory; those that are still open are closed at the end."""
    opened: list[Catalog] = []

    def open_one(options: EngineOptions = small_options, root: Path = tmp_path) -> Catalog:
        catalog = Catalog(root, options, workers)
        opened.append(catalog)
        return catalog

    yield open_one
    for catalog in opened:
        catalog.close()


def make_collection(name: str = "gallery", dimension: int = 8, **settings: object) -> collection_pb2.Collection:
    return collection_pb2.Collection(
        name=name,
        space=embedding_pb2.EmbeddingSpace(digest=SPACE, dimension=dimension, type=embedding_pb2.VECTOR_TYPE_FLOAT32),
        **settings,
    )


@pytest.fixture
def collection_of() -> Callable[..., collection_pb2.Collection]:
    """Settings of a collection of small vectors."""
    return make_collection


@pytest.fixture
def document_of() -> Callable[..., document_pb2.Document]:
    """A document of an id, a vector and whatever else."""

    def make(id_: str, vector: Sequence[float], **parts: object) -> document_pb2.Document:
        return document_pb2.Document(id=id_, vector=np.asarray(vector, "<f4").tobytes(), **parts)

    return make


@pytest.fixture
def space() -> str:
    """Digest of the embedding space of all collections of the tests."""
    return SPACE


@dataclass
class SearchProcess:
    """The service as its users start it."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    address: str = ""
    log: Path = Path()

    def spawn(self) -> None:
        """Start it and do not wait until it can be used."""
        port = waiting.free_port()
        self.address = f"127.0.0.1:{port}"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log = self.data_dir.parent / f"{self.data_dir.name}.log"
        command = [sys.executable, "-m", "picoseek_search", "--port", str(port), "--data-dir", str(self.data_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, *command], stdout=log, stderr=log, env=os.environ | self.environment
            )

    def start(self) -> None:
        self.spawn()
        with self.channel() as channel:
            ready = grpc.channel_ready_future(channel)
            waiting.until(lambda: ready.done() or self.process.poll() is not None, within_s=WITHIN_S)
            assert self.process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WITHIN_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def channel(self) -> grpc.Channel:
        # A channel of its own for each process: a shared one remembers that the one before was gone.
        return grpc.insecure_channel(
            self.address,
            [
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_receive_message_length", 64 << 20),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 200),
            ],
        )


class Client:
    """Both services over one channel, with deadlines."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.search = search_service_pb2_grpc.SearchServiceStub(channel)
        self.collections = collection_service_pb2_grpc.CollectionServiceStub(channel)

    def create(self, **settings: object) -> collection_pb2.Collection:
        request = collection_pb2.CreateCollectionRequest(collection=make_collection(**settings))
        return self.collections.CreateCollection(request, timeout=WITHIN_S).collection

    def upsert(
        self, name: str, documents: Sequence[document_pb2.Document], request_id: str = ""
    ) -> search_pb2.UpsertResponse:
        return self.search.Upsert(
            search_pb2.UpsertRequest(collection=name, space=SPACE, documents=documents, request_id=request_id),
            timeout=WITHIN_S,
        )

    def find(self, name: str, vectors: Sequence[Sequence[float]], k: int, **more: object) -> search_pb2.SearchResponse:
        content = np.asarray(vectors, "<f4")
        return self.search.Search(
            search_pb2.SearchRequest(
                collection=name, space=SPACE, vectors=content.tobytes(), queries=len(content), k=k, **more
            ),
            timeout=WITHIN_S,
        )


@pytest.fixture
def client_of() -> Callable[[grpc.Channel], Client]:
    """Makes a client of a channel."""
    return Client


@pytest.fixture
def search_process(tmp_path: Path) -> Iterator[Callable[..., SearchProcess]]:
    """Starts the service; whatever still runs at the end is killed."""
    started: list[SearchProcess] = []

    def start(data_dir: Path = tmp_path / "data", **settings: object) -> SearchProcess:
        one = SearchProcess(data_dir, **settings)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        if one.process is not None and one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def shared_process(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[SearchProcess]:
    """One service for all tests of a file, each of which uses collections of its own; the file's ENVIRONMENT is its."""
    environment = getattr(request.module, "ENVIRONMENT", {})
    one = SearchProcess(tmp_path_factory.mktemp("shared") / "data", environment)
    one.start()
    yield one
    assert one.stop() == 0, one.log.read_text()


@pytest.fixture
def client(shared_process: SearchProcess) -> Iterator[Client]:
    """A client of the shared service."""
    with shared_process.channel() as channel:
        yield Client(channel)


@pytest.fixture
def reason_of() -> Callable[[grpc.RpcError], tuple[grpc.StatusCode, str, float]]:
    """Reads code, reason and retry delay in seconds (0: none) of an error."""

    def read(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, float]:
        trailing = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.domain == "picoseek"
        for detail in status.details[1:]:
            detail.Unpack(retry)
        return error.code(), info.reason, retry.retry_delay.ToTimedelta().total_seconds()

    return read
