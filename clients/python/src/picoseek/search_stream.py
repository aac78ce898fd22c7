"""Searches of many callers over one stream, which costs half of what calls cost, in as few messages as will do."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.rpc import code_pb2
from picoseek_protos.v1 import search_pb2

from picoseek.deadline import Deadline
from picoseek.error_parsing import from_status, late
from picoseek.search_bundle import BundleSizes, bundle, settings_of, unbundle

if TYPE_CHECKING:
    from picoseek_protos.v1.search_service_pb2_grpc import SearchServiceAsyncStub


_BUNDLES_UNDER_WAY = 2
_HELD_UP_S = 0.02
_LOOK_AHEAD = 64


class _BrokenError(Exception):
    pass


class SearchStream:
    """Makes searches over a stream that is opened when it is needed, and again after it broke.

    While two messages with several searches, or with searches that could have been several, are under way, searches
    that come wait for one of them, and then go together with those that ask for the same. Nobody waits for the others
    longer than 20 ms, and nobody waits at all while the service has nothing of this client to do.

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
        self._sizes = BundleSizes()
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
                return await self._stream().ask(request, timeout)
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
            self._open = _OpenStream(self._stub, self._sizes, self._not_served)
        return self._open

    def _not_served(self) -> None:
        self._is_served = False


@dataclass(eq=False)
class _Asked:
    request: search_pb2.SearchRequest
    settings: bytes
    answer: asyncio.Future[search_pb2.SearchResponse]
    alone: bool = False


class _OpenStream:
    def __init__(self, stub: SearchServiceAsyncStub, sizes: BundleSizes, not_served: Callable[[], None]) -> None:
        self.is_broken = False
        self._sizes = sizes
        self._not_served = not_served
        self._call_ids = itertools.count(1)
        self._pending: deque[_Asked] = deque()
        self._under_way: dict[int, list[_Asked]] = {}
        self._counted: set[int] = set()
        """Messages under way that others wait for."""
        self._hold: asyncio.TimerHandle | None = None
        self._to_send: asyncio.Queue[search_pb2.StreamSearchRequest | None] = asyncio.Queue()
        self._call: Any = stub.StreamSearch(self._requests())
        self._reading = asyncio.create_task(self._read())

    async def ask(self, request: search_pb2.SearchRequest, timeout: float | None) -> search_pb2.SearchResponse:
        loop = asyncio.get_running_loop()
        asked = _Asked(request, settings_of(request), loop.create_future())
        # asyncio.timeout() does the same and costs several times as much.
        timer = None if timeout is None else loop.call_later(timeout, _expire, asked.answer)
        self._send(asked)
        try:
            return await asked.answer
        finally:
            if timer is not None:
                timer.cancel()

    def cancel(self) -> None:
        self._call.cancel()
        for asked in self._unanswered():
            asked.answer.cancel()

    def _unanswered(self) -> list[_Asked]:
        return [asked for bundle_ in (*self._under_way.values(), self._pending) for asked in bundle_]

    def _send(self, asked: _Asked) -> None:
        if self._holds_up(asked) and len(self._counted) >= _BUNDLES_UNDER_WAY:
            self._pending.append(asked)
            if self._hold is None:
                loop = asyncio.get_running_loop()
                self._hold = loop.call_later(_HELD_UP_S, lambda: self._send_pending(at_once=True))
        else:
            self._send_together([asked])

    def _send_pending(self, *, at_once: bool = False) -> None:
        while self._pending and (at_once or len(self._counted) < _BUNDLES_UNDER_WAY):
            self._send_together(self._next_bundle())
        if not self._pending and self._hold is not None:
            self._hold.cancel()
            self._hold = None

    def _most(self, asked: _Asked) -> int:
        return 1 if asked.alone else self._sizes.most(asked.settings)

    def _holds_up(self, asked: _Asked) -> bool:
        # Whoever waits for a revision, and whatever takes long, must not hold up the others.
        return self._most(asked) > 2 and not asked.request.HasField("min_revision")

    def _next_bundle(self) -> list[_Asked]:
        first = self._pending.popleft()
        together, others, most = [first], deque[_Asked](), self._most(first)
        while self._pending and len(together) < most and len(others) < _LOOK_AHEAD:
            asked = self._pending.popleft()
            (together if asked.settings == first.settings and not asked.alone else others).append(asked)
        self._pending.extendleft(reversed(others))
        return together

    def _send_together(self, together: list[_Asked]) -> None:
        # Whoever asked may have gone meanwhile.
        wanted = [asked for asked in together if not asked.answer.done()]
        if not wanted:
            return
        call_id = next(self._call_ids)
        self._under_way[call_id] = wanted
        if self._holds_up(wanted[0]):
            self._counted.add(call_id)
        request = bundle([asked.request for asked in wanted])
        self._to_send.put_nowait(search_pb2.StreamSearchRequest(call_id=call_id, request=request))

    def _answered(self, answer: search_pb2.StreamSearchResponse) -> None:
        together = self._under_way.pop(answer.call_id)
        self._counted.discard(answer.call_id)
        if answer.WhichOneof("result") == "response":
            # A service that does not say how long it takes gets each search in a message of its own.
            if answer.response.search_cpu_us:
                self._sizes.add(together[0].settings, answer.response.search_cpu_us / len(together))
            for asked, response in zip(together, unbundle(answer.response, len(together)), strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(response)
        elif len(together) > 1 and answer.error.code == code_pb2.INVALID_ARGUMENT:
            # One of them is at fault; only by itself it fails by itself.
            for asked in together:
                asked.alone = True
                self._send(asked)
        else:
            for asked in together:
                if not asked.answer.done():
                    asked.answer.set_exception(from_status(answer.error))
        self._send_pending()

    async def _requests(self) -> AsyncIterator[search_pb2.StreamSearchRequest]:
        while (request := await self._to_send.get()) is not None:
            yield request

    async def _read(self) -> None:
        try:
            async for answer in self._call:
                self._answered(answer)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._not_served()
        finally:
            self.is_broken = True
            if self._hold is not None:
                self._hold.cancel()
            # gRPC leaves its task that asks for requests behind when the service has ended the call.
            self._to_send.put_nowait(None)
            self._call.cancel()
            for asked in self._unanswered():
                if not asked.answer.done():
                    asked.answer.set_exception(_BrokenError())


def _expire(answer: asyncio.Future[search_pb2.SearchResponse]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
