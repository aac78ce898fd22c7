"""Searches wait for others only as long as others are likely to come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from picoseek_search.transport.arrivals import Arrivals

MOST = 16
ALONE = 1


def turns_waited(arrivals: Arrivals, here: Sequence[int]) -> int:
    """Return the turns that are waited while so many searches are there turn by turn; the last figure stays."""
    turns = 0
    while arrivals.is_worth_a_turn(here[min(turns, len(here) - 1)]):
        turns += 1
        assert turns < 1000
    return turns


def test_who_is_always_alone_is_made_at_once_but_for_one_of_sixteen() -> None:
    arrivals = Arrivals(MOST)
    waited = [turns_waited(arrivals, [ALONE]) for _ in range(64)]
    assert [turns for turns in waited if turns] == [waited[15]] * 4
    assert waited[15] == waited[31] <= 10


def test_as_many_as_came_before_are_waited_for_and_no_more() -> None:
    arrivals = Arrivals(MOST)
    assert turns_waited(arrivals, [5]) == 0
    # They come one by one, and with pauses.
    assert turns_waited(arrivals, [1, 1, 1, 2, 2, 3, 4, 4, 4, 5]) == 10
    assert turns_waited(arrivals, [3, 5]) == 2
    assert turns_waited(arrivals, [5]) == 1


def test_those_who_come_no_more_are_given_up_and_forgotten() -> None:
    arrivals = Arrivals(MOST)
    turns_waited(arrivals, [3])
    waited = [turns_waited(arrivals, [ALONE]) for _ in range(4)]
    assert waited == [9, 9, 0, 0]


def test_more_callers_than_before_are_noticed() -> None:
    arrivals = Arrivals(MOST)
    together = 0
    for _ in range(16):
        here = [*range(1, 13)]
        together = here[min(turns_waited(arrivals, here), 11)]
    assert together == 12


def test_nobody_waits_when_as_many_are_there_as_are_made_together() -> None:
    arrivals = Arrivals(MOST)
    for _ in range(32):
        assert turns_waited(arrivals, [MOST]) == 0


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=40), max_size=40))
def test_whatever_comes_nobody_waits_for_long_in_vain(gatherings: list[list[int]]) -> None:
    arrivals = Arrivals(MOST)
    for coming in gatherings:
        here = [1 + sum(coming[: turn + 1]) for turn in range(len(coming))]
        came = sum(later > earlier for earlier, later in pairwise(here))
        assert turns_waited(arrivals, here) <= 9 * (came + 1)
