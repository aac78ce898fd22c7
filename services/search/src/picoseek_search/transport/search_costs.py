"""How long searches take, learned from those that were made."""

from __future__ import annotations

from collections.abc import Hashable

LIGHT_S = 300e-6
"""A query that takes less is light: handing it to a thread and its answer back costs about as much."""
OVERHEAD_S = 250e-6
"""What a search costs besides, however many queries are made together."""
_SMOOTHING = 0.25
_MOST_KINDS = 1024


class SearchCosts:
    """Seconds a query of each kind of search, as a moving average. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._seconds: dict[Hashable, float] = {}

    def is_light(self, kind: Hashable, queries: int) -> bool:
        """Whether the queries of a search will probably take less than `LIGHT_S`; never of a kind not seen yet."""
        seconds = self._seconds.get(kind)
        return seconds is not None and seconds * queries < LIGHT_S

    def add(self, kind: Hashable, queries: int, seconds: float) -> None:
        """Note that so many queries took so long together."""
        now = max(0.0, seconds - OVERHEAD_S) / queries
        before = self._seconds.get(kind)
        if before is None and len(self._seconds) >= _MOST_KINDS:
            # Rare: clients that ask with ever new settings. All are learned anew.
            self._seconds.clear()
        self._seconds[kind] = now if before is None else before + _SMOOTHING * (now - before)
