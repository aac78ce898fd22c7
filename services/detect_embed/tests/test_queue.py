"""The queue before a model: nothing is lost, nothing is run twice, the earliest deadline goes first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek_detect_embed.batching.entry import Entry
from picoseek_detect_embed.batching.queue import BatchQueue
from picoseek_detect_embed.engine.slots import SlotPool

BUCKETS = (1, 2, 4, 8, 16)

deadlines = st.lists(st.integers(-3, 50), max_size=60)


def _entry(slot: int, deadline: float) -> Entry:
    return Entry(slot, deadline, asyncio.get_running_loop().create_future(), 0.0)


@settings(deadline=None)
@given(deadlines, st.sets(st.integers(0, 59)))
def test_every_entry_is_run_once_or_ends_with_its_reason(times: list[int], abandoned: set[int]) -> None:
    async def scenario() -> None:
        queue = BatchQueue(BUCKETS)
        entries = [_entry(slot, float(deadline)) for slot, deadline in enumerate(times)]
        for entry in entries:
            queue.put(entry)
        for slot in abandoned & set(range(len(entries))):
            entries[slot].result.cancel()
        ran: list[Entry] = []
        while len(queue):
            batch = queue.take(now=0.0)
            assert len(batch) in (0, *BUCKETS)
            assert [entry.deadline for entry in batch] == sorted(entry.deadline for entry in batch)
            if ran and batch:
                assert ran[-1].deadline <= batch[0].deadline
            ran += batch
        slots = [entry.slot for entry in ran]
        assert len(slots) == len(set(slots))
        for entry in entries:
            if entry.slot in slots:
                assert entry.deadline > 0 and not entry.result.done()
            elif entry.slot in abandoned:
                assert entry.result.cancelled()
            else:
                assert isinstance(entry.result.exception(), TimeoutError)

    asyncio.run(scenario())


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_a_batch_is_the_largest_bucket_that_the_entries_fill(times: list[int]) -> None:
    async def scenario() -> None:
        queue = BatchQueue(BUCKETS)
        for slot, deadline in enumerate(times):
            queue.put(_entry(slot, float(deadline)))
        assert len(queue.take(0.0)) == max(size for size in BUCKETS if size <= len(times))

    asyncio.run(scenario())


def test_discarded_entries_are_gone() -> None:
    async def scenario() -> None:
        queue = BatchQueue(BUCKETS)
        first, second = _entry(0, 1.0), _entry(1, 2.0)
        queue.put(first)
        queue.put(second)
        assert queue.discard(first) and not queue.discard(first)
        assert queue.take(0.0) == [second]

    asyncio.run(scenario())


@pytest.mark.parametrize("buckets", [(), (2, 4), (1, 4, 2), (1, 1)])
def test_buckets_must_ascend_from_one(buckets: Any) -> None:
    with pytest.raises(ValueError, match="ascend from 1"):
        BatchQueue(buckets)


def test_slots_go_to_the_earliest_deadline_and_survive_cancellation() -> None:
    async def scenario() -> None:
        pool = SlotPool(1)
        slot = await pool.acquire(0.0)
        late = asyncio.create_task(pool.acquire(2.0))
        early = asyncio.create_task(pool.acquire(1.0))
        gone = asyncio.create_task(pool.acquire(0.5))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        pool.release(slot)
        assert await early == slot and not late.done()
        pool.release(slot)
        assert await late == slot
        pool.release(slot)
        assert pool.free == 1

    asyncio.run(scenario())
