"""Ask a service for its health and say so by the exit status, for container engines that probe with a command."""

from __future__ import annotations

import argparse
import sys

import grpc
from grpc_health.v1 import health_pb2


def probe(address: str, name: str, timeout_s: float) -> str | None:
    """Return None when the service serves, else what it answers instead.

    Args:
        address: host:port.
        name: service, model or collection; "" for the whole process.
        timeout_s: how long to wait for the answer.
    """
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=name), timeout=timeout_s)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="picoseek-health", description=__doc__)
    parser.add_argument("address", help="host:port")
    parser.add_argument("--service", default="", help="service, model or collection (default: the whole process)")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds to wait")
    arguments = parser.parse_args()
    problem = probe(arguments.address, arguments.service, arguments.timeout)
    if problem is not None:
        print(f"{arguments.address} does not serve: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
