"""Frames from wherever they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Final, TypeVar, cast

T = TypeVar("T")
_END: Final = object()


async def as_async_iterator(source: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Yield what a source yields; a synchronous one may block (a camera does), so it runs in a thread."""
    if isinstance(source, AsyncIterable):
        async for entry in source:
            yield entry
        return
    iterator = iter(source)
    while (following := await asyncio.to_thread(_next, iterator)) is not _END:
        yield cast("T", following)


def _next(iterator: Iterator[T]) -> T | object:
    return next(iterator, _END)
