"""The standard health service, by service, model and collection."""

from __future__ import annotations

import asyncio

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer


class Health:
    """What grpc.health.v1 answers. "" stands for the whole process."""

    def __init__(self) -> None:
        self._servicer = HealthServicer()
        self.draining = asyncio.Event()
        """Set when the service is stopping and calls that would not end by themselves shall."""

    def register(self, server: grpc.aio.Server) -> None:
        """Add Check and Watch to a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, name: str, serving: bool) -> None:
        """Publish whether a service, model or collection may be used; watchers hear of it at once."""
        if self.draining.is_set():
            return
        await self._servicer.set(
            name, health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )

    async def remove(self, name: str) -> None:
        """Forget a name: Check then answers NOT_FOUND, and watchers hear SERVICE_UNKNOWN."""
        await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)

    async def drain(self) -> None:
        """Publish for good that nothing may be used any more."""
        self.draining.set()
        await self._servicer.enter_graceful_shutdown()
