"""Brings the entries of one queue to the engines of one model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from picoseek_detect_embed.batching.batch_tally import BatchTally
from picoseek_detect_embed.batching.entry import Entry
from picoseek_detect_embed.batching.pace import Pace
from picoseek_detect_embed.batching.queue import BatchQueue
from picoseek_detect_embed.engine.errors import BatchError, EngineError
from picoseek_detect_embed.engine.process import EngineProcess
from picoseek_detect_embed.engine.slots import SlotPool
from picoseek_detect_embed.engine.supervisor import EngineSupervisor

_LOG = logging.getLogger(__name__)

SplitOutputs = Callable[[Sequence[NDArray[Any]], int], list[NDArray[Any]]]
"""Cuts the outputs of a batch of so many items into one array an item."""


class Batcher:
    """One queue, any number of engines. A batch leaves when an engine is free, never on a timer."""

    def __init__(
        self,
        engines: Sequence[EngineSupervisor],
        slots: SlotPool,
        buckets: Sequence[int],
        split: SplitOutputs,
        batch_timeout_s: float,
    ) -> None:
        """Prepare; `run` starts it.

        Args:
            engines: engines of the model, which share one arena.
            slots: slots of that arena.
            buckets: batch sizes that the engines run, ascending from 1.
            split: see SplitOutputs.
            batch_timeout_s: an engine that takes longer over a batch counts as hung.
        """
        self.pace = Pace()
        self.batches = BatchTally()
        """Batches so far."""
        self._engines = engines
        self._slots = slots
        self._queue = BatchQueue(buckets)
        self._split = split
        self._batch_timeout_s = batch_timeout_s

    def __len__(self) -> int:
        """Return the number of entries that wait."""
        return len(self._queue)

    async def acquire_slot(self, deadline: float) -> int:
        """Wait for a slot to prepare an item in; `submit` or `release_slot` gives it back."""
        return await self._slots.acquire(deadline)

    def release_slot(self, slot: int) -> None:
        """Give back a slot that was not submitted."""
        self._slots.release(slot)

    async def submit(self, slot: int, deadline: float) -> tuple[NDArray[Any], Entry]:
        """Wait for the result of the item in a slot; the slot is the batcher's from here on.

        Args:
            slot: from `acquire_slot`, with the item written.
            deadline: by the event loop's clock, in seconds.

        Returns:
            The item's part of the result, and the entry with its timestamps.

        Raises:
            TimeoutError: the deadline passed before an engine was free.
            EngineError: its batch failed.
        """
        loop = asyncio.get_running_loop()
        entry = Entry(slot, deadline, loop.create_future(), loop.time())
        self._queue.put(entry)
        try:
            return await entry.result, entry
        finally:
            # An entry that is in a batch keeps its slot until the engine has read it.
            if self._queue.discard(entry) or entry.started_at == 0:
                self._slots.release(slot)

    async def run(self) -> None:
        """Serve all engines until cancelled."""
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                group.create_task(self._serve(engine))

    async def _serve(self, engine: EngineSupervisor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await engine.ready()
            await self._queue.filled()
            # From the check on nothing is awaited before the batch is sent: an engine that died idle takes no entries.
            process = engine.process
            if process is None:
                continue
            batch = self._queue.take(loop.time())
            if batch:
                await self._run_batch(process, batch)

    async def _run_batch(self, process: EngineProcess, batch: Sequence[Entry]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for entry in batch:
            entry.started_at = started
        try:
            outputs = await process.run([entry.slot for entry in batch], self._batch_timeout_s)
            parts = self._split_outputs(outputs, len(batch))
        except EngineError as error:
            _LOG.warning("a batch of %d failed: %s", len(batch), error)
            self.batches.failed += 1
            for entry in batch:
                if not entry.result.done():
                    entry.result.set_exception(type(error)(str(error)))
            return
        finally:
            finished = loop.time()
            for entry in batch:
                entry.finished_at = finished
                self._slots.release(entry.slot)
        self.pace.record(len(batch), finished - started)
        self.batches.add(len(batch), finished - started)
        for entry, part in zip(batch, parts, strict=True):
            if not entry.result.done():
                entry.result.set_result(part)

    def _split_outputs(self, outputs: Sequence[NDArray[Any]], size: int) -> list[NDArray[Any]]:
        shapes = ", ".join(str(output.shape) for output in outputs)
        try:
            parts = self._split(outputs, size)
        except (ValueError, TypeError, IndexError) as error:
            raise BatchError(f"outputs of shape {shapes} are none of {size} items: {error}") from error
        if len(parts) != size:
            raise BatchError(f"outputs of shape {shapes} are {len(parts)} items and not {size}")
        return parts
