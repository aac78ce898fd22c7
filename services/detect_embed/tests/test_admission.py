"""What the service takes on, and in which order it lets waiting work in."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from picoseek_chassis.errors import ServiceError
from picoseek_detect_embed.batching.pace import Pace
from picoseek_detect_embed.pipeline.admission import Admission
from picoseek_detect_embed.pipeline.pixel_budget import PixelBudget
from picoseek_detect_embed.pipeline.ticket import Ticket


def test_work_above_the_limit_is_refused_with_the_time_that_the_excess_takes() -> None:
    admission = Admission("pictures", 10)
    admission.admit(8, 0.5)
    with pytest.raises(ServiceError) as caught:
        admission.admit(6, 0.5)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after_s == pytest.approx(2.0)
    assert admission.pending == 8
    admission.admit(2, 0.5)


def test_a_ticket_counts_found_crops_and_is_closed_once() -> None:
    pictures, crops = Admission("pictures", 4), Admission("crops", 4)
    pictures.admit(1, 0.0)
    crops.admit(2, 0.0)
    ticket = Ticket(pictures, crops, 2)
    ticket.raise_crops(7)
    assert crops.pending == 7
    ticket.close()
    ticket.close()
    ticket.raise_crops(9)
    assert (pictures.pending, crops.pending) == (0, 0)


async def test_waiting_work_is_let_in_by_turn_and_gives_its_turn_up_when_cancelled() -> None:
    admission = Admission("pictures", 2)
    admission.admit(2, 0.0)
    first, second, third = (asyncio.create_task(admission.admit_in_turn(units)) for units in (2, 1, 1))
    await asyncio.sleep(0)
    admission.release(1)
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, second, third)), "the first needs two units"
    first.cancel()
    await asyncio.wait({first, second}, timeout=5)
    assert second.done() and not third.done()
    admission.release(1)
    await asyncio.wait_for(third, 5)
    assert admission.pending == 2


async def test_pixels_are_bounded_and_a_giant_is_served_in_its_turn() -> None:
    budget = PixelBudget(100)
    order: list[str] = []
    gate = asyncio.Event()

    async def decode(name: str, pixels: int) -> None:
        async with budget.hold(pixels):
            order.append(name)
            await gate.wait()

    tasks = [asyncio.create_task(decode(*each)) for each in (("small", 60), ("giant", 500), ("late", 10))]
    for _ in range(3):
        await asyncio.sleep(0)
    assert order == ["small"], "the giant waits for the whole budget, and the late one behind it"
    gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["small", "giant", "late"]


def test_the_pace_follows_the_engines() -> None:
    pace = Pace()
    assert pace.delay_s(10, 0) == 30.0
    assert pace.delay_s(10, 1) == 0.05
    for _ in range(50):
        pace.record(16, 1.6)
    assert pace.delay_s(10, 1) == pytest.approx(1.0)
    assert pace.delay_s(10, 2) == pytest.approx(0.5)
    assert pace.delay_s(10_000, 1) == 30.0
