"""Frames from wherever they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


async def as_async_iterator(source: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Yield what a source yields; a synchronous one may block (a camera does), so it runs in a thread."""
    if isinstance(source, AsyncIterable):
        async for entry in source:
            yield entry
        return
    iterator: Iterator[T] = await asyncio.to_thread(iter, source)
    while True:
        entry = await asyncio.to_thread(next, iterator, _END)
        if entry is _END:
            return
        yield entry  # type: ignore[misc]  # the sentinel has been told apart
