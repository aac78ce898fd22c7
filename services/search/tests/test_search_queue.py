"""Searches that wait for a thread are made together, and nobody can tell."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from picoseek_chassis.errors import ServiceError
from picoseek_search.transport.search_costs import LIGHT_S
from picoseek_search.transport.search_queue import MOST_QUERIES, Outcome, SearchQueue

WITHIN_S = 20.0


class Desk:
    """A queue over threads that are held up until `open`, and what was made together."""

    def __init__(self, threads: int) -> None:
        self.made: list[list[int]] = []
        self.over: dict[int, list[bool]] = defaultdict(list)
        self.first: Callable[[], None] = lambda: None
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads)
        self._opened = threading.Event()
        for _ in range(threads):
            self._executor.submit(self._opened.wait, WITHIN_S)
        self._queue = SearchQueue[int, int](self._search, self._executor, threads)

    def ask(
        self,
        work: int,
        key: str = "a",
        queries: int = 1,
        deadline: float | None = None,
        kind: str | None = None,
    ) -> asyncio.Future[int]:
        over = self.over[work].append
        return self._queue.submit(work, key=key, queries=queries, deadline=deadline, over=over, kind=kind)

    def open(self) -> None:
        self._opened.set()

    def hold_up(self) -> None:
        """Occupy the threads again, until `open`."""
        self._opened.clear()
        for _ in range(self._threads):
            self._executor.submit(self._opened.wait, WITHIN_S)

    def close(self) -> None:
        self.open()
        self._executor.shutdown()

    def _search(self, works: Sequence[int]) -> list[Outcome[int]]:
        self.first()
        self.made.append(list(works))
        if any(work < 0 for work in works):
            raise ValueError("one of them is bad")
        return [OverflowError("too long") if work > 1000 else work * 10 for work in works]


@pytest.fixture
def desk() -> Iterator[Desk]:
    one = Desk(1)
    yield one
    one.close()


async def all_of(asked: Sequence[asyncio.Future[int]]) -> list[int | BaseException]:
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), WITHIN_S)


async def test_what_waits_and_asks_the_same_is_made_together(desk: Desk) -> None:
    asked = [desk.ask(number, "even" if number % 2 == 0 else "odd") for number in range(8)]
    desk.open()
    assert await all_of(asked) == [number * 10 for number in range(8)]
    assert desk.made == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert desk.over == {number: [True] for number in range(8)}


async def test_a_search_that_finds_an_idle_thread_is_made_alone(desk: Desk) -> None:
    desk.open()
    for number in range(3):
        assert await all_of([desk.ask(number)]) == [number * 10]
    assert desk.made == [[0], [1], [2]]


async def test_the_oldest_comes_first_whatever_waits_behind_it(desk: Desk) -> None:
    asked = [desk.ask(0, "rare"), *(desk.ask(number) for number in range(1, 4)), desk.ask(4, "rare")]
    desk.open()
    await all_of(asked)
    assert desk.made == [[0, 4], [1, 2, 3]]


async def test_no_more_queries_than_the_bound_are_made_together(desk: Desk) -> None:
    asked = [desk.ask(number, queries=5) for number in range(4)] + [desk.ask(9, queries=100), desk.ask(10, queries=1)]
    desk.open()
    await all_of(asked)
    assert desk.made == [[0, 1, 2, 10], [3], [9]]
    assert MOST_QUERIES == 16


async def test_a_bad_search_fails_alone(desk: Desk) -> None:
    asked = [desk.ask(number) for number in (1, -2, 3, 4000)]
    desk.open()
    first, bad, third, long = await all_of(asked)
    assert (first, third) == (10, 30)
    assert isinstance(bad, ValueError)
    assert isinstance(long, OverflowError)
    assert desk.over == {number: [True] for number in (1, -2, 3, 4000)}


async def test_nothing_is_done_for_those_who_left_or_whose_time_is_over(desk: Desk) -> None:
    left, late = desk.ask(1), desk.ask(2, deadline=time.monotonic() - 1)
    good = desk.ask(3, deadline=time.monotonic() + WITHIN_S)
    left.cancel()
    await asyncio.sleep(0)
    # At once, not when its turn would have come.
    assert desk.over[1] == [False]
    desk.open()
    _, too_late, made = await all_of([left, late, good])
    assert made == 30
    assert isinstance(too_late, ServiceError)
    assert too_late.reason == "DEADLINE_EXCEEDED"
    assert desk.made == [[3]]
    assert desk.over == {1: [False], 2: [True], 3: [True]}


async def test_who_leaves_while_it_is_made_counts_until_it_is_made(desk: Desk) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        begun.set()
        go_on.wait(WITHIN_S)

    desk.first = slowly
    left, stays = desk.ask(1), desk.ask(2)
    desk.open()
    await asyncio.to_thread(begun.wait, WITHIN_S)
    left.cancel()
    await asyncio.sleep(0)
    assert desk.over[1] == []
    go_on.set()
    assert await all_of([stays]) == [20]
    assert desk.over == {1: [True], 2: [True]}


async def test_threads_share_what_waits() -> None:
    desk = Desk(2)
    asked = [desk.ask(number) for number in range(8)]
    desk.open()
    await all_of(asked)
    desk.close()
    assert sorted(work for made in desk.made for work in made) == list(range(8))
    assert max(len(made) for made in desk.made) <= 4


async def test_a_kind_that_was_light_is_made_together_in_the_loop_and_waits_for_no_thread(desk: Desk) -> None:
    desk.open()
    assert await all_of([desk.ask(0, kind="light")]) == [0]
    desk.hold_up()
    here = threading.get_ident()
    seen: list[int] = []
    desk.first = lambda: seen.append(threading.get_ident())
    other = desk.ask(9)
    asked = [desk.ask(number, kind="light") for number in (1, -2, 3)] + [desk.ask(4, "b", kind="light")]
    left = desk.ask(5, kind="light")
    left.cancel()
    first, bad, third, different = await all_of(asked)
    assert (first, third, different) == (10, 30, 40)
    assert isinstance(bad, ValueError)
    assert set(seen) == {here}
    assert desk.made == [[0], [1, -2, 3], [1], [-2], [3], [4]]
    assert desk.over == {9: [], 0: [True], 1: [True], -2: [True], 3: [True], 4: [True], 5: [False]}
    desk.open()
    assert await all_of([other]) == [90]


async def test_a_kind_that_was_dear_is_left_to_the_threads_until_it_is_light_again(desk: Desk) -> None:
    def compute() -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 20 * LIGHT_S:
            pass

    desk.open()
    threads: list[int] = []
    desk.first = compute
    assert await all_of([desk.ask(1, kind="k")]) == [10]
    desk.first = lambda: threads.append(threading.get_ident())
    made = 0
    while not threads or threads[-1] != threading.get_ident():
        assert await all_of([desk.ask(2, kind="k")]) == [20]
        made += 1
    # A moving average: one cheap search does not make up for a dear one.
    assert made > 3
    desk.first = compute
    assert await all_of([desk.ask(3, kind="k")]) == [30]
    desk.first = lambda: threads.append(threading.get_ident())
    assert await all_of([desk.ask(4, kind="k")]) == [40]
    assert threads[-1] != threading.get_ident()
