"""One stream of searches: takes them in, hands answers out as they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import grpc
from picoseek_chassis.errors import ServiceError, invalid_argument, to_status, unavailable
from picoseek_protos.v1 import search_pb2

_LOG = logging.getLogger(__name__)

_Request: TypeAlias = search_pb2.StreamSearchRequest
_Response: TypeAlias = search_pb2.StreamSearchResponse

_RETRY_AFTER_STOP_S = 1.0
_UNFORESEEN = ServiceError(
    grpc.StatusCode.INTERNAL, "INTERNAL", "the service failed on this search; its log has the cause"
)


class SearchStream:
    """Makes the searches of one stream, several at once.

    It reads no further while as many searches as allowed are under way or their answers wait to be sent, so that the
    connection's flow control holds the sender up.
    """

    def __init__(
        self,
        answer: Callable[[search_pb2.SearchRequest], Awaitable[search_pb2.SearchResponse]],
        most_under_way: int,
        draining: asyncio.Event,
    ) -> None:
        """Prepare a stream.

        Args:
            answer: makes one search.
            most_under_way: searches that were read and whose answers are not sent yet.
            draining: set when the service is stopping: what is under way is answered, and the stream ends.
        """
        self._answer = answer
        self._places = asyncio.Semaphore(most_under_way)
        self._draining = draining
        self._answers: asyncio.Queue[_Response | Exception | None] = asyncio.Queue()
        self._call_ids: set[int] = set()
        self._searches: set[asyncio.Task[None]] = set()

    async def run(self, requests: AsyncIterator[_Request]) -> AsyncIterator[_Response]:
        """Yield the answers until the sender has ended and every search is answered.

        Raises:
            ServiceError: SHUTTING_DOWN; what was sent and not answered was not made.
        """
        ending = asyncio.create_task(self._end(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
                self._places.release()
        finally:
            tasks = [ending, *self._searches]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, requests: AsyncIterator[_Request]) -> None:
        reading = asyncio.create_task(self._read(requests))
        stopping = asyncio.create_task(self._draining.wait())
        end: Exception | None = None
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
            else:
                end = _shutting_down()
        except Exception as error:
            end = error
        finally:
            reading.cancel()
            stopping.cancel()
        await asyncio.gather(*self._searches)
        await self._answers.put(end)

    async def _read(self, requests: AsyncIterator[_Request]) -> None:
        await self._places.acquire()
        async for request in requests:
            if request.call_id in self._call_ids:
                await self._answers.put(_refused(request.call_id, _in_use(request.call_id)))
            else:
                self._call_ids.add(request.call_id)
                task = asyncio.create_task(self._work(request))
                self._searches.add(task)
                task.add_done_callback(self._searches.discard)
            await self._places.acquire()

    async def _work(self, request: _Request) -> None:
        try:
            answer = _Response(call_id=request.call_id, response=await self._answer(request.request))
        except ServiceError as error:
            answer = _refused(request.call_id, error)
        except Exception:
            # Unforeseen, and still no reason to end the stream for the other searches.
            _LOG.exception("unforeseen error on search %d of a stream", request.call_id)
            answer = _refused(request.call_id, _UNFORESEEN)
        finally:
            self._call_ids.discard(request.call_id)
        await self._answers.put(answer)


def _refused(call_id: int, error: ServiceError) -> _Response:
    return _Response(call_id=call_id, error=to_status(error))


def _in_use(call_id: int) -> ServiceError:
    return invalid_argument(
        "CALL_ID_IN_USE",
        f"call_id {call_id} is that of a search that is still under way; number searches differently",
        call_id=str(call_id),
    )


def _shutting_down() -> ServiceError:
    return unavailable(
        "SHUTTING_DOWN",
        "the service is stopping; send searches without an answer again",
        retry_after_s=_RETRY_AFTER_STOP_S,
    )
