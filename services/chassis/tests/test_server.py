"""The life of a service process, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from picoseek_chassis.errors import VALUE_BYTES, ServiceError, invalid_argument, resource_exhausted
from picoseek_chassis.failure import ServiceFailedError, stop_service
from picoseek_chassis.health import Health
from picoseek_chassis.server import serve
from picoseek_chassis.settings import ServiceSettings

WITHIN_S = 20.0


async def _with_server(
    body: Callable[[grpc.aio.Channel], Any],
    handlers: dict[str, Callable[[bytes, Any], Any]] | None = None,
    settings: ServiceSettings | None = None,
) -> None:
    @contextlib.asynccontextmanager
    async def application(server: grpc.aio.Server, health: Health, registry: object) -> AsyncIterator[Sequence[str]]:
        methods = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in (handlers or {}).items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", methods),))
        await health.set("", True)
        yield []

    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def on_ready(port: int) -> None:
        ready.set_result(port)

    task = asyncio.create_task(serve(settings or ServiceSettings(drain_grace_s=2), application, on_ready))
    done, _ = await asyncio.wait({task, ready}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        await task
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ready.result()}") as channel:
        await body(channel)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, WITHIN_S)


def _details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    trailing = dict(error.trailing_metadata())
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])  # type: ignore[arg-type]


async def _call(channel: grpc.aio.Channel, method: str) -> Any:
    return await channel.unary_unary(f"/test.Service/{method}")(b"", timeout=WITHIN_S)


def _raise(error: Exception) -> Callable[[bytes, Any], Any]:
    async def handler(request: bytes, context: Any) -> bytes:
        raise error

    return handler


def test_no_call_is_turned_away_by_grpc_itself() -> None:
    calls = 2500

    async def slow(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        return request

    async def body(channel: grpc.aio.Channel) -> None:
        assert await asyncio.gather(*(_call(channel, "Slow") for _ in range(calls))) == [b""] * calls

    asyncio.run(_with_server(body, {"Slow": slow}))


def test_service_error_reaches_the_caller_with_reason_and_delay() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "Busy")
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        status = _details(caught.value)
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info) and status.details[1].Unpack(retry)
        assert (info.reason, info.domain, dict(info.metadata)) == ("OVERLOADED", "picoseek", {"queue": "7"})
        assert retry.retry_delay.ToMilliseconds() == 250
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "250"

    busy = resource_exhausted("OVERLOADED", "7 are waiting; send again", retry_after_s=0.25, queue="7")
    asyncio.run(_with_server(body, {"Busy": _raise(busy)}))


def test_an_error_about_a_long_text_keeps_its_reason_and_what_to_do() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "Long")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        details = str(caught.value.details())
        assert (
            details.startswith("filter: 'éé") and details.endswith("é' is unknown; name another") and " … " in details
        )
        info = error_details_pb2.ErrorInfo()
        assert _details(caught.value).details[0].Unpack(info)
        assert info.reason == "FILTER_INVALID" and len(info.metadata["filter"].encode()) <= VALUE_BYTES

    text = "é" * 20_000
    long = invalid_argument("FILTER_INVALID", f"filter: '{text}' is unknown; name another", filter=text, field=text)
    asyncio.run(_with_server(body, {"Long": _raise(long)}))


def test_unforeseen_error_is_internal_and_keeps_its_cause_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "Broken")
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value.details())
        info = error_details_pb2.ErrorInfo()
        assert _details(caught.value).details[0].Unpack(info)
        assert info.metadata["incident"] in caplog.text and "secret" in caplog.text

    asyncio.run(_with_server(body, {"Broken": _raise(RuntimeError("secret"))}))


@pytest.mark.parametrize(
    ("method", "streams"),
    [
        ("/grpc.health.v1.Health/Check", (False, False)),
        ("/grpc.health.v1.Health/Watch", (False, True)),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", (True, True)),
    ],
)
def test_bytes_that_are_no_message_are_refused(
    method: str, streams: tuple[bool, bool], caplog: pytest.LogCaptureFixture
) -> None:
    malformed = b"\x0a\xff\xff\xff\xff\x0f"

    async def call(channel: grpc.aio.Channel) -> None:
        if streams == (False, False):
            await channel.unary_unary(method)(malformed, timeout=WITHIN_S)
        elif streams == (False, True):
            await channel.unary_stream(method)(malformed, timeout=WITHIN_S).read()
        else:
            await channel.stream_stream(method)(iter([malformed]), timeout=WITHIN_S).read()

    async def body(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        info = error_details_pb2.ErrorInfo()
        assert _details(caught.value).details[0].Unpack(info) and info.reason == "REQUEST_MALFORMED"
        assert "Traceback" not in caplog.text

    asyncio.run(_with_server(body))


def test_unknown_method_is_unimplemented() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, "Nothing")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(_with_server(body))


def test_health_watch_hears_of_the_drain_and_calls_under_way_end() -> None:
    started = asyncio.Event

    async def body(channel: grpc.aio.Channel) -> None:
        begun = started()

        async def follow() -> list[int]:
            seen = []
            async for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                seen.append(answer.status)
                begun.set()
                if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                    return seen
            return seen

        watching = asyncio.create_task(follow())
        await asyncio.wait_for(begun.wait(), WITHIN_S)
        slow = asyncio.create_task(_call(channel, "Slow"))
        await asyncio.wait_for(entered.wait(), WITHIN_S)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(watching, WITHIN_S) == [
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        ]
        release.set()
        assert await asyncio.wait_for(slow, WITHIN_S) == b"done"

    async def slow(request: bytes, context: Any) -> bytes:
        entered.set()
        await release.wait()
        return b"done"

    entered, release = asyncio.Event(), asyncio.Event()
    asyncio.run(_with_server(body, {"Slow": slow}, ServiceSettings(drain_grace_s=WITHIN_S)))


def test_reflection_lists_the_health_service() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        async for answer in call:
            names = {service.name for service in answer.list_services_response.service}
            assert "grpc.health.v1.Health" in names
            return

    asyncio.run(_with_server(body))


def test_a_taken_port_is_an_error_that_says_so() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        raise AssertionError("the server must not start")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = ServiceSettings(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="port is taken"):
            asyncio.run(_with_server(body, settings=settings))


def test_a_part_that_fails_stops_the_service_after_calls_under_way() -> None:
    async def body(channel: grpc.aio.Channel) -> None:
        assert await _call(channel, "Fail") == b"answered"

    async def fail(request: bytes, context: Any) -> bytes:
        stop_service("the disc is gone; put it back")
        stop_service("and so is everything on it")
        return b"answered"

    with pytest.raises(ServiceFailedError, match=r"^the disc is gone; put it back$"):
        asyncio.run(_with_server(body, {"Fail": fail}))


def test_only_a_task_of_a_service_can_stop_it() -> None:
    with pytest.raises(LookupError):
        stop_service("there is none")


def test_errors_are_exceptions_with_a_message() -> None:
    error = invalid_argument("K_OUT_OF_RANGE", "k is 0; ask for at least 1", k="0")
    assert isinstance(error, ServiceError) and str(error) == "k is 0; ask for at least 1"
