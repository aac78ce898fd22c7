"""What Prometheus finds at a service, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
import waiting
from picoseek_chassis.errors import invalid_argument
from picoseek_chassis.failure import ServiceFailedError, stop_service
from picoseek_chassis.health import Health
from picoseek_chassis.server import serve
from picoseek_chassis.settings import ServiceSettings, SettingsError
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from scraping import scrape

WITHIN_S = 20.0
CALLS = "picoseek_grpc_calls_total"
IN_FLIGHT = "picoseek_grpc_calls_in_flight"


class Answer(Collector):
    """A collector as services add it."""

    def collect(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("answer", "To everything.", 42)]


@dataclass(frozen=True)
class Served:
    """A service that counts its calls."""

    channel: grpc.aio.Channel
    address: str
    """Of its metrics."""
    registries: Sequence[CollectorRegistry | None]
    """What its application was given."""

    async def call(self, method: str, timeout_s: float = WITHIN_S) -> bytes:
        return await self.channel.unary_unary(f"/S/{method}")(b"", timeout=timeout_s)

    async def samples(self) -> dict[tuple[str, ...], float]:
        return await asyncio.to_thread(scrape, self.address)


async def _fine(request: bytes, context: Any) -> bytes:
    return b"fine"


async def _wrong(request: bytes, context: Any) -> bytes:
    raise invalid_argument("WRONG", "this is wrong; send something else")


async def _broken(request: bytes, context: Any) -> bytes:
    raise RuntimeError("unforeseen")


async def _endless(request: bytes, context: Any) -> bytes:
    return await asyncio.Future()


async def _stop(request: bytes, context: Any) -> bytes:
    stop_service("a test ends it")
    return b""


async def _numbers(request: bytes, context: Any) -> AsyncIterator[bytes]:
    while True:
        yield b"1"
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def _served(metrics_address: str | None = None) -> AsyncIterator[Served]:
    registries: list[CollectorRegistry | None] = []

    @contextlib.asynccontextmanager
    async def application(
        server: grpc.aio.Server, health: Health, registry: CollectorRegistry | None
    ) -> AsyncIterator[Sequence[str]]:
        handlers = {
            "Fine": _fine,
            "Wrong": _wrong,
            "Broken": _broken,
            "Endless": _endless,
            "Stop": _stop,
        }
        methods = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
        methods["Numbers"] = grpc.unary_stream_rpc_method_handler(_numbers)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("S", methods),))
        registries.append(registry)
        if registry is not None:
            registry.register(Answer())
        yield []

    address = f"127.0.0.1:{waiting.free_port()}" if metrics_address is None else metrics_address
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def on_ready(port: int) -> None:
        ready.set_result(port)

    settings = ServiceSettings(drain_grace_s=2, metrics_address=address)
    service = asyncio.create_task(serve(settings, application, on_ready))
    await asyncio.wait({service, ready}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    if service.done():
        await service
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ready.result()}") as channel:
        served = Served(channel, address, registries)
        try:
            yield served
        finally:
            await served.call("Stop")
            with pytest.raises(ServiceFailedError, match="a test ends it"):
                await asyncio.wait_for(service, WITHIN_S)


async def test_calls_are_counted_by_method_and_code() -> None:
    async with _served() as served:
        for _ in range(3):
            await served.call("Fine")
        for method in ("Wrong", "Broken", "Missing"):
            with pytest.raises(grpc.aio.AioRpcError):
                await served.call(method)
        with pytest.raises(grpc.aio.AioRpcError):
            await served.call("Endless", timeout_s=0.1)
        endless = asyncio.create_task(served.call("Endless"))
        numbers = served.channel.unary_stream("/S/Numbers")(b"")
        assert await numbers.read() == b"1"

        async def seen(*key: str) -> float | None:
            return (await served.samples()).get(key)

        async with asyncio.timeout(WITHIN_S):
            while await seen(IN_FLIGHT, "S/Endless") != 1:
                await asyncio.sleep(0.01)
        samples = await served.samples()
        ended = {key[1:]: value for key, value in samples.items() if key[0] == CALLS}
        # A caller who gives up early for what the service knows is one who cancels.
        late = "CANCELLED" if ("CANCELLED", "S/Endless") in ended else "DEADLINE_EXCEEDED"
        assert ended == {
            ("OK", "S/Fine"): 3,
            ("INVALID_ARGUMENT", "S/Wrong"): 1,
            ("INTERNAL", "S/Broken"): 1,
            (late, "S/Endless"): 1,
        }
        assert samples[IN_FLIGHT, "S/Fine"] == 0
        assert samples[IN_FLIGHT, "S/Numbers"] == 1
        took = "picoseek_grpc_call_duration_seconds"
        assert samples[f"{took}_bucket", "+Inf", "S/Fine"] == samples[f"{took}_count", "S/Fine"] == 3
        assert 0 < samples[f"{took}_sum", "S/Fine"] < WITHIN_S
        assert (f"{took}_count", "S/Numbers") not in samples, "a stream takes as long as its caller likes"
        assert samples["answer",] == 42
        assert samples["process_resident_memory_bytes",] > 10 << 20

        endless.cancel()
        numbers.cancel()
        async with asyncio.timeout(WITHIN_S):
            for method in ("S/Endless", "S/Numbers"):
                while await seen(IN_FLIGHT, method) != 0:
                    await asyncio.sleep(0.01)
        assert await seen(CALLS, "CANCELLED", "S/Endless") == ended.get(("CANCELLED", "S/Endless"), 0) + 1
        assert await seen(CALLS, "CANCELLED", "S/Numbers") == 1
    with pytest.raises(OSError, match="refused"):
        await served.samples()


async def test_two_services_in_one_process_count_for_themselves() -> None:
    async with _served() as one, _served() as other:
        await one.call("Fine")
        await other.call("Fine")
        await other.call("Fine")
        assert (await one.samples())[CALLS, "OK", "S/Fine"] == 1
        assert (await other.samples())[CALLS, "OK", "S/Fine"] == 2


async def test_without_an_address_there_are_no_metrics() -> None:
    async with _served("") as served:
        assert await served.call("Fine") == b"fine"
        assert served.registries == [None]


async def test_a_taken_port_is_an_error_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"^cannot serve metrics on {address}: the port is taken or "):
            async with _served(address):
                raise AssertionError("the service must not start")


@pytest.mark.parametrize("address", ["9072", ":9072", "localhost", "localhost:http", "localhost:65536", "::1:9072"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(SettingsError, match=r"metrics_address .*127\.0\.0\.1:9072"):
        ServiceSettings.load(metrics_address=address)
    assert ServiceSettings(metrics_address="[::1]:9072").metrics_address == "[::1]:9072"
