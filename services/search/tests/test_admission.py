"""The bound on work under way."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from picoseek_chassis.errors import ServiceError
from picoseek_search.transport.admission import Admission

WITHIN_S = 20.0


async def test_work_over_the_limit_is_refused_until_some_is_done() -> None:
    admission, go_on = Admission("things", 3), threading.Event()
    with ThreadPoolExecutor(4) as executor:
        held = [asyncio.create_task(admission.run(executor, 1, None, lambda: go_on.wait(WITHIN_S))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError, match="3 things are under way") as caught:
            await admission.run(executor, 1, None, lambda: None)
        assert caught.value.reason == "OVERLOADED"
        assert caught.value.retry_after_s > 0
        go_on.set()
        assert await asyncio.wait_for(asyncio.gather(*held), WITHIN_S) == [True] * 3
        assert await admission.run(executor, 1, None, lambda: 7) == 7


async def test_one_piece_larger_than_the_limit_is_taken_alone() -> None:
    admission = Admission("bytes", 10)
    with ThreadPoolExecutor(1) as executor:
        assert await admission.run(executor, 1000, None, lambda: "done") == "done"


async def test_work_that_nobody_waits_for_still_counts_and_what_waits_is_dropped() -> None:
    admission, begun, go_on = Admission("things", 2), threading.Event(), threading.Event()
    ran: list[str] = []

    def hold() -> None:
        begun.set()
        go_on.wait(WITHIN_S)

    with ThreadPoolExecutor(1) as executor:
        running = asyncio.create_task(admission.run(executor, 1, None, hold))
        waiting = asyncio.create_task(admission.run(executor, 1, None, lambda: ran.append("waiting")))
        assert await asyncio.to_thread(begun.wait, WITHIN_S)
        running.cancel()
        waiting.cancel()
        await asyncio.wait({running, waiting}, timeout=WITHIN_S)
        with pytest.raises(ServiceError, match="1 things are under way"):
            await admission.run(executor, 2, None, lambda: None)
        go_on.set()
        await admission.run(executor, 0, None, lambda: None)
        await admission.run(executor, 2, None, lambda: None)
    assert ran == []


async def test_expired_work_is_not_begun() -> None:
    admission = Admission("things", 2)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ServiceError) as caught:
            await admission.run(executor, 1, time.monotonic() - 1, lambda: pytest.fail("begun"))
        assert caught.value.reason == "DEADLINE_EXCEEDED"
        assert await admission.run(executor, 2, time.monotonic() + WITHIN_S, lambda: 1) == 1


async def test_the_delay_follows_the_time_that_work_takes() -> None:
    admission, go_on = Admission("things", 4), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        for _ in range(20):
            await admission.run(executor, 1, None, lambda: time.sleep(0.02))
        held = [asyncio.create_task(admission.run(executor, 1, None, lambda: go_on.wait(WITHIN_S))) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as caught:
            await admission.run(executor, 1, None, lambda: None)
        go_on.set()
        await asyncio.gather(*held)
    assert 0.03 < caught.value.retry_after_s < 1
