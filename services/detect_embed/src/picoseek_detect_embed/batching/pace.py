"""How fast a model works its queue off."""

from __future__ import annotations

_WEIGHT = 0.2
_SHORTEST_DELAY_S = 0.05
_LONGEST_DELAY_S = 30.0


class Pace:
    """Moving average of the engine time an item takes."""

    def __init__(self) -> None:
        self._item_s: float | None = None

    def record(self, items: int, seconds: float) -> None:
        """Count a batch."""
        item_s = seconds / items
        self._item_s = item_s if self._item_s is None else (1 - _WEIGHT) * self._item_s + _WEIGHT * item_s

    def delay_s(self, items: int, engines: int) -> float:
        """Return the seconds in which so many engines work off so many items, as a delay to ask of a caller."""
        if self._item_s is None or engines == 0:
            return _LONGEST_DELAY_S if engines == 0 else _SHORTEST_DELAY_S
        return min(max(items * self._item_s / engines, _SHORTEST_DELAY_S), _LONGEST_DELAY_S)
