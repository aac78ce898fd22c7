"""One stream of frames: takes them in, hands objects out as they are finished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from picoseek_chassis.errors import ServiceError, invalid_argument, ok_status, to_status, unimplemented
from picoseek_protos.v1 import detect_embed_pb2

from picoseek_detect_embed.models.catalogue import Catalogue
from picoseek_detect_embed.pipeline.outcome import FoundObject
from picoseek_detect_embed.pipeline.recognition import Recognition
from picoseek_detect_embed.pipeline.request import PictureJob, RecognitionOptions
from picoseek_detect_embed.transport.answers import object_message, timings_message
from picoseek_detect_embed.transport.limits import CallLimits
from picoseek_detect_embed.transport.requests import read_options, read_picture, read_regions

_LOG = logging.getLogger(__name__)

_Request = detect_embed_pb2.StreamDetectEmbedRequest
_Response = detect_embed_pb2.StreamDetectEmbedResponse

_UNFORESEEN = ServiceError(
    grpc.StatusCode.INTERNAL, "INTERNAL", "the service failed on this frame; its log has the cause"
)

# Answers that wait for a slow reader; then the frames wait too.
_ANSWERS_AHEAD = 64


@dataclass(frozen=True)
class _Arrival:
    frame: detect_embed_pb2.Frame
    arrived_at: float
    deadline: float


class StreamSession:
    """Works on the frames of one stream, several at once.

    FRAME_POLICY_EVERY_FRAME reads no further while as many frames as allowed are under way, so that the connection's
    flow control holds the sender up. FRAME_POLICY_LATEST_WINS reads on and keeps only the newest frame that waits.
    """

    def __init__(
        self, catalogue: Catalogue, recognition: Recognition, limits: CallLimits, deadline: float | None
    ) -> None:
        """Prepare a session.

        Args:
            catalogue: models by name.
            recognition: does the work.
            limits: what a stream may ask for.
            deadline: end of the stream by the event loop's clock, in seconds; None: it has none.
        """
        self._catalogue = catalogue
        self._recognition = recognition
        self._limits = limits
        self._deadline = deadline
        self._answers: asyncio.Queue[_Response | Exception | None] = asyncio.Queue(_ANSWERS_AHEAD)
        self._frames: set[asyncio.Task[None]] = set()
        self._waiting: _Arrival | None = None

    async def run(self, requests: AsyncIterator[_Request]) -> AsyncIterator[_Response]:
        """Yield the answers until the sender has ended and every frame is accounted for.

        Raises:
            ServiceError: the stream itself is wrong: no config first, or an option that is not served.
        """
        reading = asyncio.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            tasks = [reading, *self._frames]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, requests: AsyncIterator[_Request]) -> None:
        try:
            config = await _read_config(requests)
            options = read_options(config.options, self._catalogue, self._limits)
            places = asyncio.Semaphore(self._places(config))
            if config.policy == detect_embed_pb2.FRAME_POLICY_LATEST_WINS:
                await self._read_latest(requests, options, places)
            else:
                await self._read_every(requests, options, places)
            await asyncio.gather(*self._frames)
        except Exception as error:
            await self._answers.put(error)
        else:
            await self._answers.put(None)

    def _places(self, config: detect_embed_pb2.StreamConfig) -> int:
        return min(config.max_in_flight or self._limits.stream_in_flight, self._limits.max_stream_in_flight)

    async def _read_every(
        self, requests: AsyncIterator[_Request], options: RecognitionOptions, places: asyncio.Semaphore
    ) -> None:
        await places.acquire()
        async for request in requests:
            self._start(self._arrival(request), options, places)
            await places.acquire()

    async def _read_latest(
        self, requests: AsyncIterator[_Request], options: RecognitionOptions, places: asyncio.Semaphore
    ) -> None:
        starting: asyncio.Task[None] | None = None

        async def start_newest() -> None:
            await places.acquire()
            newest, self._waiting = self._waiting, None
            assert newest is not None
            self._start(newest, options, places)

        try:
            async for request in requests:
                superseded, self._waiting = self._waiting, self._arrival(request)
                if superseded is not None:
                    await self._drop(superseded.frame, detect_embed_pb2.DROP_REASON_SUPERSEDED)
                if starting is None or starting.done():
                    starting = asyncio.create_task(start_newest())
                # Let a frame start before the next one may take its place.
                await asyncio.sleep(0)
            if starting is not None:
                await starting
        finally:
            if starting is not None:
                starting.cancel()

    def _arrival(self, request: _Request) -> _Arrival:
        if request.WhichOneof("message") != "frame":
            raise invalid_argument(
                "OPTION_INVALID", "after the first message of a stream only frames may follow", option="message"
            )
        frame = request.frame
        now = asyncio.get_running_loop().time()
        timeout_s = self._limits.default_timeout_s
        if frame.HasField("timeout"):
            timeout_s = frame.timeout.ToMilliseconds() / 1000
        deadline = now + timeout_s
        return _Arrival(frame, now, deadline if self._deadline is None else min(deadline, self._deadline))

    def _start(self, arrival: _Arrival, options: RecognitionOptions, places: asyncio.Semaphore) -> None:
        async def work() -> None:
            try:
                await self._work(arrival, options)
            finally:
                places.release()

        task = asyncio.create_task(work())
        self._frames.add(task)
        task.add_done_callback(self._frames.discard)

    async def _work(self, arrival: _Arrival, options: RecognitionOptions) -> None:
        frame = arrival.frame
        done = detect_embed_pb2.FrameDone(frame_id=frame.frame_id, status=ok_status())
        if frame.HasField("captured_at"):
            done.captured_at.CopyFrom(frame.captured_at)

        async def deliver(found: FoundObject) -> None:
            answer = detect_embed_pb2.ObjectResult(frame_id=frame.frame_id, object=object_message(found))
            await self._answers.put(_Response(object=answer))

        try:
            regions = read_regions(frame.regions, self._limits)
            job = PictureJob(read_picture(frame.picture), regions, options, arrival.arrived_at, arrival.deadline)
            async with asyncio.timeout_at(arrival.deadline):
                ticket = await self._recognition.admit_in_turn(job)
            try:
                outcome = await self._recognition.process(job, ticket, deliver)
            finally:
                ticket.close()
        except TimeoutError:
            await self._drop(frame, detect_embed_pb2.DROP_REASON_EXPIRED)
            return
        except ServiceError as error:
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                await self._drop(frame, detect_embed_pb2.DROP_REASON_EXPIRED)
                return
            done.status.CopyFrom(to_status(error))
        except Exception:
            # Unforeseen, and still no reason to end the stream for the frames that come after.
            _LOG.exception("unforeseen error on frame %d of a stream", frame.frame_id)
            done.status.CopyFrom(to_status(_UNFORESEEN))
        else:
            done.width, done.height, done.objects = outcome.width, outcome.height, outcome.objects
            done.timings.CopyFrom(timings_message(outcome.timings))
        await self._answers.put(_Response(frame_done=done))

    async def _drop(self, frame: detect_embed_pb2.Frame, reason: detect_embed_pb2.DropReason.ValueType) -> None:
        dropped = detect_embed_pb2.FrameDropped(frame_id=frame.frame_id, reason=reason)
        await self._answers.put(_Response(frame_dropped=dropped))


async def _read_config(requests: AsyncIterator[_Request]) -> detect_embed_pb2.StreamConfig:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("message") != "config":
        raise invalid_argument("STREAM_CONFIG_MISSING", "the first message of a stream must be its config")
    config = first.config
    if config.HasField("tracking"):
        raise unimplemented("TRACKING_UNSUPPORTED", "this service does not follow objects; leave `tracking` unset")
    if config.initial_credit:
        raise unimplemented(
            "CREDIT_UNSUPPORTED", "this service counts no credits; leave `initial_credit` 0 and bound max_in_flight"
        )
    return config
