"""How many batches there were, of what size, and how long they took."""

from __future__ import annotations


class BatchTally:
    """Batches of one model. One event loop counts them; other threads may look at the figures."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        """Batches that came back, by their items."""
        self.engine_s = 0.0
        """Seconds that they were in engines."""
        self.failed = 0
        """Batches that were lost with an engine or that it failed on."""

    def add(self, items: int, seconds: float) -> None:
        """Count a batch that came back."""
        self.sizes[items] = self.sizes.get(items, 0) + 1
        self.engine_s += seconds
