"""The server, which turns exceptions of handlers into rich statuses."""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from picoseek_chassis.call_metrics import CallMetrics
from picoseek_chassis.counted_handler import counted, counted_stream
from picoseek_chassis.errors import ServiceError, to_status

_LOG = logging.getLogger(__name__)
_DETAILS_KEY = "grpc-status-details-bin"


if TYPE_CHECKING:  # generic in the type stubs only
    _Handler = grpc.RpcMethodHandler[Any, Any]


class GuardedServer(grpc.aio.Server):
    """A server in which exceptions of handlers become rich statuses.

    A ServiceError becomes the status it stands for, anything unforeseen INTERNAL with a number to look for. A handler
    is wrapped once; an interceptor of gRPC would do it on every call.
    """

    def __init__(self, options: Sequence[tuple[str, Any]], calls: CallMetrics | None = None) -> None:
        """Make a server.

        Args:
            options: gRPC's channel options.
            calls: where calls are counted by method; None: they are not.
        """
        self._server = grpc.aio.server(options=options)
        self._methods = _Methods(calls)
        self._server.add_generic_rpc_handlers((self._methods,))

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Add methods."""
        self._methods.lookups.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, _Handler]) -> None:
        """Do nothing: generated code has added the same by `add_generic_rpc_handlers`."""

    def add_insecure_port(self, address: str) -> int:
        """See grpc.aio.Server."""
        return self._server.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """See grpc.aio.Server."""
        return self._server.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        """See grpc.aio.Server."""
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """See grpc.aio.Server."""
        await self._server.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """See grpc.aio.Server."""
        return await self._server.wait_for_termination(timeout)


class _Methods(grpc.GenericRpcHandler):
    """All methods of a server."""

    def __init__(self, calls: CallMetrics | None) -> None:
        self.lookups: list[grpc.GenericRpcHandler] = []
        self._calls = calls
        self._known: dict[str, _Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """Return the handler of a call; None: there is no such method, which gRPC answers with UNIMPLEMENTED."""
        method = str(handler_call_details.method)
        known = self._known.get(method)
        if known is None:
            found = (lookup.service(handler_call_details) for lookup in self.lookups)
            handler = next((handler for handler in found if handler is not None), None)
            if handler is None:
                return None
            known = self._known[method] = _guarded(method, handler, self._calls)
        return known


def _guarded(method: str, handler: _Handler, calls: CallMetrics | None) -> _Handler:
    make: Any
    inner: Any
    if handler.response_streaming:
        if handler.request_streaming:
            make, inner = grpc.stream_stream_rpc_method_handler, handler.stream_stream
        else:
            make, inner = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        # A streaming handler either yields its answers or writes them to the context.
        wrapped: Any = (_streaming if inspect.isasyncgenfunction(inner) else _awaited)(method, inner)
    else:
        if handler.request_streaming:
            make, inner = grpc.stream_unary_rpc_method_handler, handler.stream_unary
        else:
            make, inner = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        wrapped = _awaited(method, inner)
    if calls is not None:
        is_timed = not (handler.request_streaming or handler.response_streaming)
        tally = calls.tally(method.removeprefix("/"), is_timed=is_timed)
        wrapped = (counted_stream if inspect.isasyncgenfunction(wrapped) else counted)(wrapped, tally)
    result: _Handler = make(wrapped, _tolerant(handler.request_deserializer), handler.response_serializer)
    return result


class _Malformed:
    """Stands for bytes that are no message of the method; refusing them is left to the handler, which has a context."""

    def refuse(self) -> ServiceError:
        return ServiceError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_MALFORMED",
            "the request is no message of this method; generate the client from this service's protos",
        )


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Keep gRPC from answering UNKNOWN, with a traceback in the log, to bytes that cannot be read."""
    if deserialize is None:
        return None

    def read(content: bytes) -> Any:
        try:
            return deserialize(content)
        except DecodeError:
            return _Malformed()

    return read


def _readable(request: Any) -> Any:
    """The request, or the stream of requests, with a refusal in place of a malformed message."""
    if isinstance(request, _Malformed):
        raise request.refuse()
    return _readable_stream(request) if hasattr(request, "__aiter__") else request


async def _readable_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, _Malformed):
            raise request.refuse()
        yield request


def _awaited(method: str, inner: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(_readable(request), context)
        except ServiceError as error:
            await _abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            await _abort(context, _unforeseen(method))

    return call


def _streaming(method: str, inner: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in inner(_readable(request), context):
                yield response
        except ServiceError as error:
            await _abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            await _abort(context, _unforeseen(method))

    return call


def _unforeseen(method: str) -> ServiceError:
    number = uuid.uuid4().hex[:12]
    _LOG.exception("unforeseen error %s in %s", number, method)
    return ServiceError(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        f"the service failed; its log has the cause under {number}",
        metadata={"incident": number},
    )


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: ServiceError) -> None:
    trailing: list[tuple[str, str | bytes]] = [(_DETAILS_KEY, to_status(error).SerializeToString())]
    if error.retry_after_s is not None:
        trailing.append(("grpc-retry-pushback-ms", str(max(1, round(error.retry_after_s * 1000)))))
    try:
        await context.abort(error.code, error.message, tuple(trailing))
    except grpc.aio.InternalError as gone:
        # The caller has hung up, so the answer cannot be sent and nobody misses it.
        raise asyncio.CancelledError from gone
