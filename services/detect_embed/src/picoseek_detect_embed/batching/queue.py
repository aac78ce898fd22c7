"""The queue before the engines of one model."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from bisect import bisect_right
from collections.abc import Sequence

from picoseek_detect_embed.batching.entry import Entry


class BatchQueue:
    """Entries by deadline, earliest first; equal ones in order of arrival. It belongs to one event loop."""

    def __init__(self, buckets: Sequence[int]) -> None:
        """Make an empty queue.

        Args:
            buckets: batch sizes that engines run, ascending, 1 among them.
        """
        if not buckets or buckets[0] != 1 or sorted(set(buckets)) != list(buckets):
            raise ValueError(f"buckets {list(buckets)} must ascend from 1")
        self._buckets = list(buckets)
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, entry: Entry) -> None:
        """Add an entry."""
        heapq.heappush(self._heap, (entry.deadline, next(self._order), entry))
        self._filled.set()

    def discard(self, entry: Entry) -> bool:
        """Take an entry out that nobody waits for any more; False when a batch has it already."""
        for position, (_, _, queued) in enumerate(self._heap):
            if queued is entry:
                self._heap[position] = self._heap[-1]
                self._heap.pop()
                heapq.heapify(self._heap)
                return True
        return False

    async def filled(self) -> None:
        """Wait until there is an entry."""
        while not self._heap:
            self._filled.clear()
            await self._filled.wait()

    def take(self, now: float) -> list[Entry]:
        """Take the next batch: the largest bucket that the waiting entries fill.

        A batch is never padded: on a CPU an empty place costs as much as a full one. Entries whose deadline has passed
        are taken out and end with TimeoutError; abandoned ones are taken out.

        Args:
            now: by the event loop's clock, in seconds.

        Returns:
            Entries in the order of their deadlines; none when none is worth running.
        """
        live: list[tuple[float, int, Entry]] = []
        while self._heap and len(live) < self._buckets[-1]:
            item = heapq.heappop(self._heap)
            entry = item[2]
            if entry.result.done():
                continue
            if entry.deadline <= now:
                entry.result.set_exception(TimeoutError("the deadline passed in the queue"))
                continue
            live.append(item)
        size = self._buckets[bisect_right(self._buckets, len(live)) - 1] if live else 0
        for item in live[size:]:
            heapq.heappush(self._heap, item)
        return [entry for _, _, entry in live[:size]]
