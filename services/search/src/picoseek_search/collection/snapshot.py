"""What a search sees."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek_search.collection.part import View
from picoseek_search.storage.log import Revision


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One state of a shard. It never changes: whoever holds it sees every document of its revision exactly once."""

    revision: Revision
    """Newest write in it."""
    generation: int
    """Grows whenever an index is built, merged or replaced."""
    views: tuple[View, ...]
    """Parts, oldest first; at most the last one is growing."""

    @property
    def live_rows(self) -> int:
        """Documents."""
        return sum(view.live.count for view in self.views)
