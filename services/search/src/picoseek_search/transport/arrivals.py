"""How many searches come in at about the same time, learned from those that did."""

from __future__ import annotations

_MOST_EMPTY_TURNS = 8
"""gRPC hands calls to the event loop one after another, and takes a few turns of it for each."""
_LOOK_FARTHER_EVERY = 16
"""So often all that may come are waited for, to notice that there are more callers than before."""


class Arrivals:
    """Decides, turn of the event loop by turn, whether searches that have come in wait for others that are to come.

    Nobody waits for a clock. A search that others are not known to come with is made at once, but for one of sixteen,
    which waits eight turns in which nothing happens: some tens of microseconds.
    """

    def __init__(self, most: int) -> None:
        """Expect one search at a time.

        Args:
            most: searches that are made together.
        """
        self._most = most
        self._expected = 1
        self._gatherings = 0
        self._wanted = 0
        self._here = 0
        self._empty_turns = 0

    def is_worth_a_turn(self, here: int) -> bool:
        """Return whether to let the event loop turn once more before searching.

        Args:
            here: searches that have come in, at least 1.
        """
        if not self._wanted:
            self._gatherings += 1
            self._wanted = self._most if self._gatherings % _LOOK_FARTHER_EVERY == 0 else self._expected
        more, self._here = here > self._here, here
        self._empty_turns = 0 if more else self._empty_turns + 1
        if here >= self._most or self._wanted == 1:
            waits = False
        else:
            # Where one has just come the next one may be near, however many were wanted.
            waits = more or (here < self._wanted and self._empty_turns <= _MOST_EMPTY_TURNS)
        if not waits:
            self._learn()
        return waits

    def _learn(self) -> None:
        self._expected = max(self._here, self._expected - 1)
        self._wanted = self._here = self._empty_turns = 0
