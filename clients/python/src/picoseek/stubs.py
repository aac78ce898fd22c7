"""Channels to both services and the stubs over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
from picoseek_protos.v1 import (
    collection_service_pb2_grpc,
    detect_embed_service_pb2_grpc,
    search_service_pb2_grpc,
)

from picoseek.connection import ConnectionConfig, open_channel
from picoseek.search_stream import SearchStream

if TYPE_CHECKING:
    from picoseek_protos.v1.collection_service_pb2_grpc import CollectionServiceAsyncStub
    from picoseek_protos.v1.detect_embed_service_pb2_grpc import DetectEmbedServiceAsyncStub
    from picoseek_protos.v1.search_service_pb2_grpc import SearchServiceAsyncStub


@dataclass(frozen=True)
class Stubs:
    """What a client calls; it belongs to the event loop in which it was made."""

    channels: tuple[grpc.aio.Channel, ...]
    """To detect_embed and to search."""
    detect_embed: DetectEmbedServiceAsyncStub
    """Pictures in, vectors out."""
    collections: CollectionServiceAsyncStub
    """Galleries."""
    search: SearchServiceAsyncStub
    """Vectors in, matches out."""
    search_stream: SearchStream
    """Single searches, all over one stream."""

    @classmethod
    def open(cls, config: ConnectionConfig) -> Stubs:
        """Return stubs; they connect at the first call."""
        seeing, finding = open_channel(config.detect_embed, config), open_channel(config.search, config)
        search: SearchServiceAsyncStub = search_service_pb2_grpc.SearchServiceStub(finding)
        return cls(
            channels=(seeing, finding),
            detect_embed=detect_embed_service_pb2_grpc.DetectEmbedServiceStub(seeing),
            collections=collection_service_pb2_grpc.CollectionServiceStub(finding),
            search=search,
            search_stream=SearchStream(search, "search", config.search),
        )

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        self.search_stream.close()
        for channel in self.channels:
            await channel.close()
