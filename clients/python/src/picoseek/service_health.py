"""Whether a service is ready, as the standard health service tells."""

from __future__ import annotations

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2


async def describe_health(address: str, timeout_s: float) -> str | None:
    """Return None when the process at an address serves, else what it answers instead.

    Args:
        address: host:port.
        timeout_s: how long to wait for the answer.
    """
    # A channel of its own: one that has failed before would answer from its memory until it tries again.
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return "nothing answers" if error.code() is grpc.StatusCode.UNAVAILABLE else error.code().name
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
