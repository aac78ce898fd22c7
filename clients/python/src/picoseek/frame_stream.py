"""One call of StreamDetectEmbed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio
from picoseek_protos.v1 import detect_embed_pb2

from picoseek.error_parsing import from_rpc_error
from picoseek.errors import DeadlineExceededError
from picoseek.frame_source import as_async_iterator
from picoseek.stream import Frame, FrameObject, StreamAnswer, StreamOptions
from picoseek.wire.streams import answer_from, config_message, frame_message


class FrameStream:
    """Sends frames and yields the answers, until the source is empty and every frame is accounted for."""

    def __init__(self, method: Any, service: str, address: str, idle_timeout_s: float) -> None:
        """Make a stream that has not begun.

        Args:
            method: StreamDetectEmbed of an asyncio stub.
            service: name of the service, for messages.
            address: host:port, for messages.
            idle_timeout_s: longest time without any answer while frames are under way, in seconds.
        """
        self._method = method
        self._service = service
        self._address = address
        self._idle_timeout_s = idle_timeout_s
        self._outstanding: set[int] = set()
        self._waiting_since = 0.0
        self._source_error: Exception | None = None

    async def run(
        self, frames: Iterable[Frame] | AsyncIterable[Frame], options: StreamOptions
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Yield the answers in the order in which they come.

        Raises:
            PicoSeekError: the stream as a whole failed; errors of single frames come in their FrameDone.
        """
        call = self._method(self._requests(frames, options))
        try:
            while (response := await self._next(call)) is not None:
                self._waiting_since = time.monotonic()
                answer = answer_from(response)
                if answer is None:
                    continue
                if not isinstance(answer, FrameObject):
                    self._outstanding.discard(answer.frame_id)
                yield answer
            if self._source_error is not None:
                raise self._source_error
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, self._service, self._address) from error
        finally:
            call.cancel()

    async def _requests(
        self, frames: Iterable[Frame] | AsyncIterable[Frame], options: StreamOptions
    ) -> AsyncIterator[detect_embed_pb2.StreamDetectEmbedRequest]:
        yield config_message(options)
        try:
            async for frame in as_async_iterator(frames):
                message = frame_message(frame)
                if not self._outstanding:
                    self._waiting_since = time.monotonic()
                self._outstanding.add(frame.frame_id)
                yield message
        except Exception as error:  # gRPC would swallow it; the caller of `run` shall see it
            self._source_error = error

    async def _next(self, call: Any) -> detect_embed_pb2.StreamDetectEmbedResponse | None:
        """Return the next message; None: the stream has ended."""
        reading = asyncio.ensure_future(call.read())
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=self._idle_timeout_s / 4)
                if done:
                    message = reading.result()
                    return None if message is grpc.aio.EOF else message
                idle_s = time.monotonic() - self._waiting_since
                # A quiet camera is no failure; frames without an answer are.
                if self._outstanding and idle_s > self._idle_timeout_s:
                    raise DeadlineExceededError(
                        f"{self._service} at {self._address} has not answered for {idle_s:.0f} s, "
                        f"with {len(self._outstanding)} frames under way"
                    )
        finally:
            if not reading.done():
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
