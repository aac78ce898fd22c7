"""Puts the service together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import grpc.aio
from picoseek_chassis.errors import ServiceError
from picoseek_chassis.health import Health
from picoseek_chassis.server import Application
from picoseek_protos.v1 import (
    collection_service_pb2,
    collection_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from prometheus_client.registry import CollectorRegistry

from picoseek_search.allocator import return_freed_memory_now
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions, RecallOptions
from picoseek_search.collection.workers import Workers
from picoseek_search.segment.gpu import Gpu, GpuUnavailableError
from picoseek_search.settings import SearchSettings
from picoseek_search.snapshots.object_store import ObjectStore
from picoseek_search.snapshots.snapshot_library import SnapshotLibrary
from picoseek_search.snapshots.snapshot_operations import SnapshotOperations
from picoseek_search.storage.data_directory import DataDirectory
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.alias_calls import AliasCalls
from picoseek_search.transport.collection_metrics import CollectionMetrics
from picoseek_search.transport.collection_servicer import CollectionServicer
from picoseek_search.transport.limits import Limits
from picoseek_search.transport.load_metrics import LoadMetrics
from picoseek_search.transport.operation_calls import OperationCalls
from picoseek_search.transport.search_metrics import SearchMetrics
from picoseek_search.transport.search_servicer import Admissions, SearchServicer
from picoseek_search.transport.snapshot_calls import SnapshotCalls

_LOG = logging.getLogger(__name__)

# From the descriptors, which reflection finds only when their modules are loaded.
_SERVICES = (
    search_service_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name,
    collection_service_pb2.DESCRIPTOR.services_by_name["CollectionService"].full_name,
)


def make_application(settings: SearchSettings) -> Application:
    """Return the search service as something that a server can serve."""

    @asynccontextmanager
    async def application(
        server: grpc.aio.Server, health: Health, registry: CollectorRegistry | None
    ) -> AsyncGenerator[Sequence[str]]:
        store = _store(settings)
        workers = Workers.start(
            search_threads=settings.search_threads,
            read_threads=settings.read_threads,
            write_threads=settings.write_threads,
            build_threads=settings.build_threads,
        )
        try:
            catalog = await asyncio.to_thread(_open, settings, workers)
            return_freed_memory_now()
            try:
                await _register(server, health, registry, catalog, workers, settings, store)
                yield _SERVICES
            finally:
                workers.stopping.set()
                await asyncio.to_thread(catalog.close)
        finally:
            await asyncio.to_thread(workers.stop)

    return application


async def _register(
    server: grpc.aio.Server,
    health: Health,
    registry: CollectorRegistry | None,
    catalog: Catalog,
    workers: Workers,
    settings: SearchSettings,
    store: ObjectStore,
) -> None:
    async def publish(name: str, usable: bool | None) -> None:
        if usable is None:
            await health.remove(name)
        else:
            await health.set(name, usable)

    loop = asyncio.get_running_loop()

    def appeared(name: str) -> None:
        asyncio.run_coroutine_threadsafe(publish(name, True), loop)

    reads = Admission("calls", settings.max_waiting_reads)
    admissions = Admissions(
        Admission("queries", settings.max_waiting_queries),
        reads,
        Admission("bytes of writes", settings.max_waiting_write_bytes),
    )
    limits = Limits(
        max_queries=settings.max_queries,
        max_k=settings.max_k,
        max_hits=settings.max_hits,
        max_stream_searches=settings.max_stream_searches,
        max_documents=settings.max_documents,
        max_message_bytes=settings.max_message_bytes,
        max_revision_wait_s=settings.max_revision_wait_s,
    )
    metrics = None if registry is None else _metrics(registry, catalog, admissions)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(
        SearchServicer(catalog, workers, limits, admissions, health.draining, metrics), server
    )
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(
        CollectionServicer(
            catalog,
            workers,
            reads,
            publish,
            AliasCalls(catalog, workers, reads, publish),
            OperationCalls(catalog.operations, workers, reads, settings.max_operation_wait_s, health.draining),
            SnapshotCalls(
                SnapshotOperations(SnapshotLibrary(store), catalog, appeared),
                workers,
                Admission("calls about snapshots", settings.max_waiting_reads),
            ),
        ),
        server,
    )
    usable = dict(catalog.names())
    usable |= {alias: usable.get(name, False) for alias, name in catalog.aliases()}
    for name, is_usable in usable.items():
        await health.set(name, is_usable)
    for name in ("", *_SERVICES):
        await health.set(name, True)


def _metrics(registry: CollectorRegistry, catalog: Catalog, admissions: Admissions) -> SearchMetrics:
    searches = SearchMetrics()
    for collector in (searches, CollectionMetrics(catalog, searches.queries), LoadMetrics(admissions)):
        registry.register(collector)
    return searches


def _open(settings: SearchSettings, workers: Workers) -> Catalog:
    try:
        return Catalog(settings.data_dir, _options(settings), workers)
    except ServiceError as error:
        # Nobody can be answered yet: this ends the process with a line in its log.
        raise OSError(error.message) from error


def _store(settings: SearchSettings) -> ObjectStore:
    try:
        return ObjectStore(settings.snapshots or str(DataDirectory.snapshots_of(settings.data_dir)))
    except ValueError as error:
        raise OSError(f"snapshots: {error}") from error


def _options(settings: SearchSettings) -> EngineOptions:
    return EngineOptions(
        growing_rows=settings.growing_rows,
        graph_rows=settings.graph_rows,
        idle_s=settings.idle_s,
        operation_threads=settings.operation_threads,
        keep_operations=settings.keep_operations,
        keep_requests=settings.keep_requests,
        keep_log_records=settings.keep_log_records,
        calibration_delay_s=settings.calibration_delay_s,
        recall=RecallOptions(settings.recall_share, settings.recall_most_a_second),
        gpu=_gpu(settings.index_device),
    )


def _gpu(device: str) -> Gpu | None:
    name, _, number = device.partition(":")
    if name == "cpu":
        return None
    try:
        return Gpu(int(number or 0))
    except GpuUnavailableError as error:
        _LOG.warning("index_device is %s, but indexes stay on the CPU: %s", device, error)
        return None
