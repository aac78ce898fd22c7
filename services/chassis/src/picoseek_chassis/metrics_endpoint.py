"""Where Prometheus fetches the metrics of a service: http://HOST:PORT/metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prometheus_client import start_http_server
from prometheus_client.registry import CollectorRegistry

from picoseek_chassis.address import Address

_LOG = logging.getLogger(__name__)


@asynccontextmanager
async def metrics_endpoint(address: Address, registry: CollectorRegistry) -> AsyncGenerator[None]:
    """Serve the metrics of a registry, in threads, within the block.

    Args:
        address: where; port 0: any free one, written to the log.
        registry: its collectors are called in those threads.

    Raises:
        OSError: the port is taken or the address is not this machine's.
    """
    # In threads, since starting looks names up and ending waits for the server to notice, up to half a second.
    try:
        server, thread = await asyncio.to_thread(start_http_server, address.port, address.host, registry)
    except OSError as error:
        raise OSError(
            f"cannot serve metrics on {address}: the port is taken or the address is not this machine's; "
            "choose another metrics_address"
        ) from error
    _LOG.info("metrics at http://%s/metrics", Address(address.host, server.server_port))
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
