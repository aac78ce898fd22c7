"""Handlers that count their calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import grpc
import grpc.aio

from picoseek_chassis.call_metrics import CallTally

_OK = 0
_CANCELLED = int(grpc.StatusCode.CANCELLED.value[0])
_DEADLINE_EXCEEDED = int(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
# gRPC rounds a deadline up by up to a hundredth on its way, so that callers who give up at theirs are heard of before.
_EARLY_SHARE = 0.01
_EARLY_S = 0.01


def counted(inner: Callable[..., Awaitable[Any]], tally: CallTally) -> Callable[..., Awaitable[Any]]:
    """Return a handler that does the same as one that is awaited, and counts it."""

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        begun = perf_counter()
        tally.under_way += 1
        try:
            response = await inner(request, context)
        except BaseException:
            tally.end(begun, _code(context, begun))
            raise
        tally.end(begun, _OK)
        return response

    return call


def counted_stream(inner: Callable[..., AsyncIterator[Any]], tally: CallTally) -> Callable[..., AsyncIterator[Any]]:
    """Return a handler that does the same as one that yields its answers, and counts it."""

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        begun = perf_counter()
        tally.under_way += 1
        try:
            async for response in inner(request, context):
                yield response
        except BaseException:
            tally.end(begun, _code(context, begun))
            raise
        tally.end(begun, _OK)

    return call


def code_of_unanswered(begun: float, remaining_s: float | None) -> int:
    """Return the number of the status code of a call that ended before it was answered.

    Args:
        begun: `time.perf_counter()` when it began.
        remaining_s: seconds that its caller would have waited on; None: for ever.
    """
    if remaining_s is None or remaining_s > _EARLY_S + _EARLY_SHARE * (perf_counter() - begun):
        return _CANCELLED
    return _DEADLINE_EXCEEDED


def _code(context: Any, begun: float) -> int:
    code = context.code()  # None, unless the call was answered with it
    return code_of_unanswered(begun, context.time_remaining()) if code is None else int(code.value[0])
