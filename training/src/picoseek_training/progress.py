"""How far a build is, on standard error."""

from __future__ import annotations

import sys
import time

_EVERY_S = 0.5
_EVERY_S_IN_A_LOG = 15.0


class Progress:
    """One stage of the work, called with the finished and the total number of its units."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._started = self._shown = time.monotonic()
        self._first: int | None = None
        self._terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show the state, not too often, and always the end."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        every = _EVERY_S if self._terminal else _EVERY_S_IN_A_LOG
        if done < total and now - self._shown < every:
            return
        self._shown = now
        line = f"{self._stage} {done} of {total}"
        if self._first < done < total:
            line += f", {_duration((now - self._started) / (done - self._first) * (total - done))} left"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if done >= total else ""))
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
