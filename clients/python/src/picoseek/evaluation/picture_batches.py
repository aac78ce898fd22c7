"""Sends many picture files to detect_embed, some batches at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from picoseek.errors import InvalidArgumentError
from picoseek.picture import PictureInput, read_picture_file
from picoseek.usable_results import PictureOutcome, usable_results

OutcomeT = TypeVar("OutcomeT", bound=PictureOutcome)

_BATCH = 8
_BATCHES_AT_A_TIME = 3


async def in_batches(
    paths: Sequence[Path], call: Callable[[Sequence[PictureInput]], Awaitable[Sequence[OutcomeT]]]
) -> AsyncIterator[OutcomeT | InvalidArgumentError]:
    """Yield for each file, in order, what became of it or what is wrong with it.

    Args:
        paths: the files.
        call: sends a batch.

    Raises:
        PicoSeekError: a call failed.
    """

    async def work(batch: Sequence[Path]) -> list[OutcomeT | InvalidArgumentError]:
        read = await asyncio.to_thread(lambda: [_read(path) for path in batch])
        inputs = [PictureInput(data) for data in read if isinstance(data, bytes)]
        sent = iter(await usable_results(call(inputs), len(inputs)) if inputs else ())
        return [next(sent) if isinstance(data, bytes) else data for data in read]

    under_way: deque[asyncio.Task[list[OutcomeT | InvalidArgumentError]]] = deque()
    try:
        for start in range(0, len(paths), _BATCH):
            under_way.append(asyncio.create_task(work(paths[start : start + _BATCH])))
            if len(under_way) == _BATCHES_AT_A_TIME:
                for result in await under_way.popleft():
                    yield result
        while under_way:
            for result in await under_way.popleft():
                yield result
    finally:
        for task in under_way:
            task.cancel()


def _read(path: Path) -> bytes | InvalidArgumentError:
    try:
        return read_picture_file(path)
    except InvalidArgumentError as error:
        return error
