"""Bounds the memory of decoded pictures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class PixelBudget:
    """So many pixels may be decoded at a time. Callers are served in turn: large pictures are not passed over."""

    def __init__(self, pixels: int) -> None:
        self._total = pixels
        self._free = pixels
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncGenerator[None]:
        """Wait for a picture's share and keep it within the block; one above the whole budget waits for all of it."""
        share = min(pixels, self._total)
        await self._acquire(share)
        try:
            yield
        finally:
            self._free += share
            self._wake()

    async def _acquire(self, share: int) -> None:
        if not self._waiting and share <= self._free:
            self._free -= share
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._free += share
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            share, future = self._waiting[0]
            if not future.done():
                if share > self._free:
                    return
                self._free -= share
                future.set_result(None)
            self._waiting.popleft()
