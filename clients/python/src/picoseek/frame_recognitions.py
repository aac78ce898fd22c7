"""Joins the answers of a stream to frames, looks each frame up, and puts the frames in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing

from picoseek.async_client import AsyncClient
from picoseek.detect_embed import PictureResult
from picoseek.frame_source import as_async_iterator
from picoseek.picture_object import PictureObject
from picoseek.recognition import FrameRecognition, Recognition
from picoseek.stream import Frame, FrameDone, FrameDropped, FrameObject, StreamOptions

_MOST_SEARCHES = 16


async def recognize_frames(
    client: AsyncClient,
    frames: Iterable[Frame] | AsyncIterable[Frame],
    options: StreamOptions,
    answer: Callable[[PictureResult], Awaitable[Recognition]],
    *,
    idle_timeout_s: float | None,
) -> AsyncIterator[FrameRecognition]:
    """Yield one answer a frame, in the order in which the frames were sent.

    Args:
        client: how to stream.
        frames: the frames.
        options: what to do with them.
        answer: looks up the objects of a frame; some frames are looked up at a time, beside the stream.
        idle_timeout_s: see `AsyncClient.stream_detect_embed`.
    """
    order: deque[int] = deque()
    finished: dict[int, asyncio.Task[FrameRecognition]] = {}
    objects: defaultdict[int, list[PictureObject]] = defaultdict(list)
    searching = asyncio.Semaphore(_MOST_SEARCHES)

    async def noted() -> AsyncIterator[Frame]:
        async for frame in as_async_iterator(frames):
            order.append(frame.frame_id)
            yield frame

    async def looked_up(done: FrameDone, seen: list[PictureObject]) -> FrameRecognition:
        seen.sort(key=lambda found: found.index)
        result = PictureResult(str(done.frame_id), done.width, done.height, tuple(seen), done.timings, done.error)
        async with searching:
            return FrameRecognition(done.frame_id, await answer(result))

    async def left_out(dropped: FrameDropped) -> FrameRecognition:
        return FrameRecognition(dropped.frame_id, None, dropped.reason)

    try:
        async with aclosing(client.stream_detect_embed(noted(), options, idle_timeout_s=idle_timeout_s)) as answers:
            async for event in answers:
                if isinstance(event, FrameObject):
                    objects[event.frame_id].append(event.object)
                    continue
                work = (
                    looked_up(event, objects.pop(event.frame_id, []))
                    if isinstance(event, FrameDone)
                    else left_out(event)
                )
                finished[event.frame_id] = asyncio.create_task(work)
                # Waiting here for the oldest would hold up the stream; only what is ready is passed on.
                while order and order[0] in finished and (finished[order[0]].done() or len(finished) > _MOST_SEARCHES):
                    yield await finished.pop(order.popleft())
        for frame_id in order:
            if frame_id in finished:
                yield await finished.pop(frame_id)
    finally:
        for task in finished.values():
            task.cancel()
