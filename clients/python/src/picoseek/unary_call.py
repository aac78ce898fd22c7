"""A call with one request and one answer: deadline, retries, typed errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc
import grpc.aio

from picoseek.connection import RetryConfig
from picoseek.deadline import Deadline
from picoseek.error_parsing import from_rpc_error
from picoseek.errors import PicoSeekError

RequestT = TypeVar("RequestT", contravariant=True)
ResponseT = TypeVar("ResponseT", covariant=True)


class Method(Protocol[RequestT, ResponseT]):
    """A method of a generated asyncio stub, or one that does as much."""

    def __call__(self, request: RequestT, /, *, timeout: float | None = None) -> Awaitable[ResponseT]:
        """Send a request."""
        ...


@dataclass(frozen=True)
class UnaryCaller:
    """Calls the methods of one service at one address."""

    service: str
    """Name of the service, for messages."""
    address: str
    """host:port, for messages."""
    timeout_s: float
    """Deadline of calls that name none, in seconds."""
    retry: RetryConfig
    """When a call is sent again."""

    async def __call__(
        self,
        method: Method[RequestT, ResponseT],
        request: RequestT,
        timeout_s: float | None,
        *,
        repeatable: bool = True,
    ) -> ResponseT:
        """Return the answer to a request.

        Args:
            method: what to call.
            request: what to send.
            timeout_s: seconds for all attempts together; None: the default.
            repeatable: the same request again does no harm.

        Raises:
            PicoSeekError: the service refused, failed, or was not there in time.
        """
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        attempts = self.retry.max_attempts if repeatable else 1
        for attempt in range(1, attempts + 1):
            remaining_s = deadline.require(f"{self.service} was called")
            try:
                return await method(request, timeout=remaining_s)
            except PicoSeekError as refused:
                error = refused
            except grpc.aio.AioRpcError as cause:
                error = from_rpc_error(cause, self.service, self.address)
                error.__cause__ = cause
            pause_s = self._pause_s(error, attempt)
            if attempt == attempts or pause_s is None or pause_s >= deadline.remaining_s:
                raise error
            await asyncio.sleep(pause_s)
        raise AssertionError("every attempt returns or raises")

    def _pause_s(self, error: PicoSeekError, attempt: int) -> float | None:
        """Return how long to wait before the next attempt; None: there is no point in one."""
        if error.retry_after_s is not None:
            # Callers that were refused together shall not come back together.
            return error.retry_after_s * random.uniform(1.0, 1.2)
        if error.code is not grpc.StatusCode.UNAVAILABLE:
            return None
        backoff: float = min(self.retry.initial_backoff_s * 2 ** (attempt - 1), self.retry.max_backoff_s)
        return backoff * random.uniform(0.8, 1.2)
