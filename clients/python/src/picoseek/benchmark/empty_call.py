"""What a call costs that does nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

from picoseek.connection import ConnectionConfig, open_channel
from picoseek.error_parsing import from_rpc_error

_CALLS = 300
_WARM_UP = 30


@dataclass(frozen=True)
class EmptyCall:
    """Calls of the standard health service, one after the other."""

    p50_ms: float
    """Median round trip, milliseconds."""
    p99_ms: float
    """99 of 100 are not longer, milliseconds."""
    client_cpu_us: float
    """Processor time of this process for a call, microseconds."""


async def measure_empty_call(config: ConnectionConfig) -> EmptyCall:
    """Call the search service without asking it for anything.

    Raises:
        PicoSeekError: it does not answer.
    """
    channel = open_channel(config.search, config)
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    request = health_pb2.HealthCheckRequest()
    took: list[float] = []
    async with channel:
        try:
            for _ in range(_WARM_UP):
                await check(request, timeout=config.timeout_s)
            spent = time.process_time()
            for _ in range(_CALLS):
                begun = time.perf_counter()
                await check(request, timeout=config.timeout_s)
                took.append(1e3 * (time.perf_counter() - begun))
            spent = time.process_time() - spent
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "search", config.search) from error
    p50, p99 = np.percentile(took, (50, 99)).tolist()
    return EmptyCall(p50, p99, 1e6 * spent / _CALLS)
