"""The client of both services, for callers without an event loop."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from picoseek.async_client import AsyncClient
from picoseek.blocking import BlockingFace, blocking, blocking_iterator
from picoseek.connection import ConnectionConfig


class Client(BlockingFace[AsyncClient]):
    """Calls detect_embed and search, and waits for the answers. See AsyncClient for each method."""

    def __init__(self, config: ConnectionConfig | None = None) -> None:
        """Make a client; nothing is connected yet."""
        super().__init__(AsyncClient(config))

    @property
    def config(self) -> ConnectionConfig:
        """Addresses, deadlines, retries, limits."""
        return self.asynchronous.config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    close = blocking(AsyncClient.close)
    detect_embed = blocking(AsyncClient.detect_embed)
    embed = blocking(AsyncClient.embed)
    stream_detect_embed = blocking_iterator(AsyncClient.stream_detect_embed)
    models = blocking(AsyncClient.models)
    model = blocking(AsyncClient.model)
    create_collection = blocking(AsyncClient.create_collection)
    get_collection = blocking(AsyncClient.get_collection)
    index_state = blocking(AsyncClient.index_state)
    list_collections = blocking(AsyncClient.list_collections)
    delete_collection = blocking(AsyncClient.delete_collection)
    update_collection = blocking(AsyncClient.update_collection)
    set_alias = blocking(AsyncClient.set_alias)
    delete_alias = blocking(AsyncClient.delete_alias)
    list_aliases = blocking(AsyncClient.list_aliases)
    get_operation = blocking(AsyncClient.get_operation)
    list_operations = blocking(AsyncClient.list_operations)
    wait_operation = blocking(AsyncClient.wait_operation)
    cancel_operation = blocking(AsyncClient.cancel_operation)
    create_snapshot = blocking(AsyncClient.create_snapshot)
    get_snapshot = blocking(AsyncClient.get_snapshot)
    list_snapshots = blocking(AsyncClient.list_snapshots)
    verify_snapshot = blocking(AsyncClient.verify_snapshot)
    restore_snapshot = blocking(AsyncClient.restore_snapshot)
    delete_snapshot = blocking(AsyncClient.delete_snapshot)
    upsert = blocking(AsyncClient.upsert)
    delete = blocking(AsyncClient.delete)
    get = blocking(AsyncClient.get)
    list_documents = blocking_iterator(AsyncClient.list_documents)
    count = blocking(AsyncClient.count)
    search = blocking(AsyncClient.search)
    search_quality = blocking(AsyncClient.search_quality)
