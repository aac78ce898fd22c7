"""From what a caller sent to pixels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import PictureError, PictureLimits, decode_picture, from_raw
from picoseek_bundle.header import read_header
from picoseek_chassis.errors import invalid_argument

from picoseek_detect_embed.pipeline.pixel_budget import PixelBudget
from picoseek_detect_embed.pipeline.request import EncodedPicture, PictureSource


class Decoder:
    """Decodes in threads, within the limits of a picture and those of all pictures together."""

    def __init__(self, limits: PictureLimits, budget: PixelBudget, pool: Executor) -> None:
        self._limits = limits
        self._budget = budget
        self._pool = pool

    @asynccontextmanager
    async def decoded(self, source: PictureSource) -> AsyncGenerator[tuple[NDArray[np.uint8], float]]:
        """Decode a picture and keep its share of the memory within the block.

        Yields:
            [height, width, 3] uint8, BGR, upright; and the seconds of decoding.

        Raises:
            ServiceError: INVALID_ARGUMENT with the reason why the picture cannot be used.
        """
        loop = asyncio.get_running_loop()
        try:
            async with self._budget.hold(self._pixels(source)):
                picture, seconds = await loop.run_in_executor(self._pool, self._decode, source)
                yield picture, seconds
        except PictureError as error:
            raise invalid_argument(error.reason, error.message) from error

    def _pixels(self, source: PictureSource) -> int:
        """Return what the header claims; a picture above its limit is refused by the decoder and needs no share."""
        if isinstance(source, EncodedPicture):
            if len(source.data) > self._limits.max_bytes:
                return 0
            header = read_header(source.data)
            pixels = header.width * header.height
        else:
            pixels = source.width * source.height
        return pixels if pixels <= self._limits.max_pixels else 0

    def _decode(self, source: PictureSource) -> tuple[NDArray[np.uint8], float]:
        started = time.perf_counter()
        if isinstance(source, EncodedPicture):
            picture = decode_picture(source.data, self._limits)
        else:
            picture = from_raw(source.data, source.layout, source.width, source.height, source.strides, self._limits)
        return picture, time.perf_counter() - started
