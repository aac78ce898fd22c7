"""The life of a service process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import grpc.aio
import uvloop
from grpc_reflection.v1alpha import reflection
from prometheus_client import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from picoseek_chassis.address import Address
from picoseek_chassis.call_metrics import CallMetrics
from picoseek_chassis.failure import ServiceFailedError, take_failures
from picoseek_chassis.garbage import spare_what_stays
from picoseek_chassis.guarded_server import GuardedServer
from picoseek_chassis.health import Health
from picoseek_chassis.metrics_endpoint import metrics_endpoint
from picoseek_chassis.settings import ServiceSettings
from picoseek_chassis.telemetry import configure_logging

_LOG = logging.getLogger(__name__)

_MOST_PENDING = 1 << 20

Application = Callable[[grpc.aio.Server, Health, CollectorRegistry | None], AbstractAsyncContextManager[Sequence[str]]]
"""Registers its servicers, starts what it needs, yields the full names of its services, and cleans up on leaving.

It publishes its own health. The server is started after it was entered, so entering must not wait for callers. It adds
collectors to the registry (None: no metrics are wanted), which other threads call, maybe still while it is left."""


async def serve(
    settings: ServiceSettings,
    application: Application,
    on_ready: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Serve an application until SIGTERM, SIGINT or `stop_service`, then let calls under way end.

    Args:
        settings: where and how.
        application: what.
        on_ready: called with the port once calls are taken.

    Raises:
        OSError: a port is taken or an address is not this machine's.
        ServiceFailedError: the application stopped the service.
    """
    stop = asyncio.Event()
    failures: list[str] = []

    def fail(reason: str) -> None:
        failures.append(reason)
        stop.set()

    take_failures(fail)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    registry, calls = _make_metrics() if settings.metrics_address else (None, None)
    server = _make_server(settings, calls)
    health = Health()
    health.register(server)
    if settings.channelz:
        from grpc_channelz.v1 import channelz  # an extra of its own, only with the flag

        channelz.add_channelz_servicer(server)
    async with application(server, health, registry) as names, AsyncExitStack() as endpoints:
        if settings.reflection:
            reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
        port = _listen(server, settings)
        if registry is not None:
            await endpoints.enter_async_context(metrics_endpoint(Address.parse(settings.metrics_address), registry))
        spare_what_stays()
        await server.start()
        _LOG.info("listening on %s:%d", settings.host, port)
        if not settings.is_loopback:
            _LOG.warning("%s is reachable from other machines and calls are not authenticated", settings.host)
        if on_ready is not None:
            await on_ready(port)
        await stop.wait()
        _LOG.info("stopping; calls under way have %.0f s", settings.drain_grace_s)
        await health.drain()
        await server.stop(settings.drain_grace_s)
    if failures:
        raise ServiceFailedError(failures[0])
    _LOG.info("stopped")


def run(settings: ServiceSettings, application: Application) -> int:
    """Serve in this process; returns the exit status.

    An address that cannot be used, anything else that the operating system refuses, and what stopped the application
    are one line of the log.
    """
    configure_logging(settings.log_level, settings.log_format)
    _LOG.info("settings: %s", settings.describe())
    for name, meant in settings.strange_variables().items():
        _LOG.warning("%s is no setting and does nothing%s", name, f"; is {meant} meant?" if meant else "")
    try:
        uvloop.run(serve(settings, application))
    except (OSError, ServiceFailedError) as error:
        _LOG.error("%s", error)
        return 1
    return 0


def _make_metrics() -> tuple[CollectorRegistry, CallMetrics]:
    # Collectors of ours do not say in advance what they collect.
    registry = CollectorRegistry(support_collectors_without_names=True)
    ProcessCollector(registry=registry)
    calls = CallMetrics("picoseek_grpc_call", "gRPC calls", ("method",))
    registry.register(calls)
    return registry, calls


def _make_server(settings: ServiceSettings, calls: CallMetrics | None) -> grpc.aio.Server:
    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Two servers on one port would each get a share of the calls; a second start must fail instead.
        ("grpc.so_reuseport", 0),
        # Clients may ping every 10 s; the default of 5 minutes cuts their connections with too_many_pings.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # From a thousand calls on that wait to be taken in, gRPC would cancel some at random, without a word. The
        # services' own bounds refuse with a reason and a delay.
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
    ]
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", round(settings.drain_grace_s * 1000)))
    return GuardedServer(options, calls)


def _listen(server: grpc.aio.Server, settings: ServiceSettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        port = server.add_insecure_port(f"{host}:{settings.port}")
    except RuntimeError as error:
        raise OSError(
            f"cannot listen on {settings.host}:{settings.port}: the port is taken or the address is not this machine's"
        ) from error
    return int(port)
