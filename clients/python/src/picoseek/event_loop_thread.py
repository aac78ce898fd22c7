"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
_END: Final = object()


class EventLoopThread:
    """Runs coroutines for other threads."""

    _shared: EventLoopThread | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        """Start the thread; it ends with the process."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="picoseek", daemon=True).start()

    @classmethod
    def shared(cls) -> EventLoopThread:
        """Return the one loop of the process; gRPC's asyncio layer works best with a single one."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns. An interrupted wait (Ctrl-C) cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, entries: AsyncIterator[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields; leaving the loop early closes it."""
        try:
            while (entry := self.run(_next(entries))) is not _END:
                yield cast("T", entry)
        finally:
            self.run(_close(entries))


async def _next(entries: AsyncIterator[T]) -> T | object:
    return await anext(entries, _END)


async def _close(entries: AsyncIterator[Any]) -> None:
    if isinstance(entries, AsyncGenerator):
        await entries.aclose()
