"""Searches of many callers over one stream, which costs half of what calls cost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from picoseek_protos.v1 import search_pb2

from picoseek.deadline import Deadline
from picoseek.error_parsing import from_status, late

if TYPE_CHECKING:
    from picoseek_protos.v1.search_service_pb2_grpc import SearchServiceAsyncStub


class _BrokenError(Exception):
    pass


class SearchStream:
    """Makes searches over a stream that is opened when it is needed, and again after it broke.

    A stream that breaks says nothing of the searches that it carried, so each of them is made again as a call of its
    own, as are all searches of a service that has no streams. It belongs to the event loop in which it is used.
    """

    def __init__(self, stub: SearchServiceAsyncStub, service: str, address: str) -> None:
        """Make a stream that is not open yet.

        Args:
            stub: the service.
            service: its name, for messages.
            address: host:port, for messages.
        """
        self._stub = stub
        self._service = service
        self._address = address
        self._is_served = True
        self._call_ids = itertools.count(1)
        self._open: _OpenStream | None = None

    async def search(
        self, request: search_pb2.SearchRequest, /, *, timeout: float | None = None
    ) -> search_pb2.SearchResponse:
        """Return the answer to a search.

        Args:
            request: the search.
            timeout: seconds; None: for ever.

        Raises:
            PicoSeekError: the service refused it, or the time was over.
            grpc.aio.AioRpcError: it was made as a call of its own, and that failed.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        if self._is_served:
            try:
                async with asyncio.timeout(timeout):
                    return await self._stream().ask(next(self._call_ids), request)
            except TimeoutError as error:
                raise late(self._service, self._address) from error
            except _BrokenError:
                pass
        remaining = None if deadline is None else deadline.require(f"{self._service} was called")
        return await self._stub.Search(request, timeout=remaining)

    def close(self) -> None:
        """End the stream; searches under way are cancelled."""
        if self._open is not None:
            self._open.cancel()

    def _stream(self) -> _OpenStream:
        if self._open is None or self._open.is_broken:
            self._open = _OpenStream(self._stub, self._not_served)
        return self._open

    def _not_served(self) -> None:
        self._is_served = False


class _OpenStream:
    def __init__(self, stub: SearchServiceAsyncStub, not_served: Callable[[], None]) -> None:
        self.is_broken = False
        self._not_served = not_served
        self._to_send: asyncio.Queue[tuple[int, search_pb2.SearchRequest] | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[search_pb2.StreamSearchResponse]] = {}
        self._call: Any = stub.StreamSearch(self._requests())
        self._reading = asyncio.create_task(self._read())

    async def ask(self, call_id: int, request: search_pb2.SearchRequest) -> search_pb2.SearchResponse:
        self._waiting[call_id] = asyncio.get_running_loop().create_future()
        self._to_send.put_nowait((call_id, request))
        try:
            answer = await self._waiting[call_id]
        finally:
            del self._waiting[call_id]
        if answer.WhichOneof("result") == "error":
            raise from_status(answer.error)
        return answer.response

    def cancel(self) -> None:
        self._call.cancel()
        for future in self._waiting.values():
            future.cancel()

    async def _requests(self) -> AsyncIterator[search_pb2.StreamSearchRequest]:
        while (entry := await self._to_send.get()) is not None:
            call_id, request = entry
            # Whoever asked may have gone while the connection held the sender up.
            if call_id in self._waiting:
                yield search_pb2.StreamSearchRequest(call_id=call_id, request=request)

    async def _read(self) -> None:
        try:
            async for answer in self._call:
                future = self._waiting.get(answer.call_id)
                if future is not None and not future.done():
                    future.set_result(answer)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._not_served()
        finally:
            self.is_broken = True
            # gRPC leaves its task that asks for requests behind when the service has ended the call.
            self._to_send.put_nowait(None)
            self._call.cancel()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_BrokenError())
