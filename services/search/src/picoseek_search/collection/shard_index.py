"""The searchable state of a shard in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from picoseek_search.collection.part import GrowingPart, Part, View, contains
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.metric import Metric
from picoseek_search.storage.documents import Effect, RowNumbers, StoredRow
from picoseek_search.storage.log import Revision


class ShardIndex:
    """Publishes snapshots. Searches take the newest one and need no lock.

    Whoever changes it holds `lock`; so does whoever needs the database and the newest snapshot at one revision.
    """

    def __init__(self, dimension: int, metric: Metric, growing_rows: int) -> None:
        self.lock = threading.Lock()
        """Held while a write is committed and published, and while a part is replaced."""
        self._dimension = dimension
        self._metric = metric
        self._growing_rows = growing_rows
        self._numbers = 0
        self._snapshot = Snapshot(Revision(0, 0), 0, ())

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._snapshot

    def next_number(self) -> int:
        """Return a number for a new part; the lock is held."""
        self._numbers += 1
        return self._numbers

    def stage(self, effect: Effect, revision: Revision) -> Snapshot:
        """Return the state after a write, without publishing it; the lock is held.

        It is published or taken back with discard() before anything else is staged.
        """
        views = list(self._snapshot.views)
        if effect.removed:
            removed = np.array(sorted(effect.removed), np.int64)
            views = [_without(view, removed) for view in views]
        rows = effect.added
        vectors = self._metric.prepare(self._metric.decode([stored.vector for stored in rows], self._dimension))
        while rows:
            if not views or not views[-1].is_growing:
                part = GrowingPart(self.next_number(), self._dimension, self._growing_rows, self._metric)
                views.append(View(part, Bitmap.full(0)))
            views[-1], taken = _appended(views[-1], rows, vectors)
            rows, vectors = rows[taken:], vectors[taken:]
        return Snapshot(revision, self._snapshot.generation, tuple(views))

    def discard(self) -> None:
        """Take back what was staged; the lock is held."""
        for view in self._snapshot.views:
            if isinstance(view.part, GrowingPart):
                view.part.truncate(view.live.length)

    def publish(self, snapshot: Snapshot) -> None:
        """Show a state to all searches that begin from now on; the lock is held."""
        self._snapshot = snapshot

    def add_sealed(self, part: Part, live: Bitmap) -> None:
        """Show a part that was read from disk, before there is a growing one; the lock is held."""
        self.reserve(part.number)
        current = self._snapshot
        self._snapshot = Snapshot(current.revision, current.generation + 1, (*current.views, View(part, live)))

    def reserve(self, number: int) -> None:
        """Never give a part this number or a smaller one; the lock is held."""
        self._numbers = max(self._numbers, number)

    def put(self, new: Sequence[Part]) -> list[Part]:
        """Put parts in the place of others, row by row; takes the lock.

        The new ones show those of their rows that are live now; the others show the rows that no new one has. Later
        ones come first where new ones share rows.

        Returns:
            Parts that have no rows left and are gone.
        """
        with self.lock:
            old = self._snapshot.views
            left = np.sort(np.concatenate([view.rows[view.live.mask()] for view in old] or [np.empty(0, np.int64)]))
            views: list[View] = []
            for part in reversed(new):
                taken = contains(left, part.rows)
                left = np.setdiff1d(left, part.rows[taken], assume_unique=True)
                if taken.any():
                    views.insert(0, View(part, Bitmap.from_mask(taken)))
            gone: list[Part] = []
            for view in old:
                selected = view.selected(left)
                if selected.count or view.is_growing:
                    views.append(View(view.part, selected))
                else:
                    gone.append(view.part)
            self._snapshot = Snapshot(self._snapshot.revision, self._snapshot.generation + 1, tuple(views))
            return gone

    def replace(self, old: Sequence[View], new: Part | None) -> bool:
        """Put a part in the place of neighbours, all of whose live rows it has; takes the lock.

        Args:
            old: parts that are replaced, as they were when the new one was built.
            new: their live rows at that time; None: there was none.

        Returns:
            Whether it was done; a part that has taken rows since stays, and so do the others.
        """
        with self.lock:
            views = list(self._snapshot.views)
            start = next(place for place, view in enumerate(views) if view.part is old[0].part)
            replaced = views[start : start + len(old)]
            if any(now.live.length != then.live.length for now, then in zip(replaced, old, strict=True)):
                return False
            # Rows that were removed while the new part was built.
            live = np.sort(np.concatenate([view.rows[view.live.mask()] for view in replaced]))
            views[start : start + len(old)] = (
                [] if new is None else [View(new, Bitmap.from_mask(contains(live, new.rows)))]
            )
            self._snapshot = Snapshot(self._snapshot.revision, self._snapshot.generation + 1, tuple(views))
            return True


def _without(view: View, removed: RowNumbers) -> View:
    places = view.find(removed)
    return View(view.part, view.live.without(places)) if len(places) else view


def _appended(view: View, rows: Sequence[StoredRow], vectors: Vectors) -> tuple[View, int]:
    part = view.part
    if not isinstance(part, GrowingPart):
        raise TypeError("only a growing part takes rows")
    taken = min(part.free, len(rows))
    length = part.append(rows[:taken], vectors[:taken])
    return View(part, view.live.extended(length)), taken
