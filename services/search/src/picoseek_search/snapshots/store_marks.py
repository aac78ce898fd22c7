"""Marks in the store by which those who write blobs and those who remove them keep out of each other's way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from picoseek_search.snapshots.object_store import ObjectStore

_STALE = timedelta(minutes=15)
_REFRESH_S = 60.0
_POLL_S = 0.2


class StoreMarks:
    """Any number may write blobs of a collection at once; while one removes blobs nobody writes, and vice versa.

    Each first leaves its mark and then looks for marks of the other kind; a store that shows what was written shows it
    to at least one of two that come at once. So services on different machines may share a store. A mark that was not
    renewed for a quarter of an hour, by the store's clock, is of a service that was killed.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        """Keep marks below a folder of a store."""
        self._store = store
        self._writing = f"{folder}/writing"
        self._removing = f"{folder}/removing"

    @contextmanager
    def writing(self, check: Callable[[], None]) -> Generator[Callable[[], None]]:
        """Keep removers out; waits for one that is there.

        Args:
            check: called while it waits; an exception that it raises ends the waiting.

        Yields:
            What to call at least every minute or so.
        """
        with self._marked(self._writing) as (mark, renew):
            while self._others(self._removing, mark):
                check()
                time.sleep(_POLL_S)
            yield renew

    @contextmanager
    def removing(self) -> Generator[Callable[[], None] | None]:
        """Keep writers out; yields what to call at least every minute or so, or None if there is a writer already."""
        with self._marked(self._removing) as (mark, renew):
            yield None if self._others(self._writing, mark) else renew

    @contextmanager
    def _marked(self, folder: str) -> Generator[tuple[str, Callable[[], None]]]:
        path = f"{folder}/{secrets.token_hex(8)}"
        renewed = time.monotonic()

        def renew() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _REFRESH_S:
                self._store.put(path, b"\n")
                renewed = time.monotonic()

        self._store.put(path, b"\n")
        try:
            yield path, renew
        finally:
            self._store.delete([path])

    def _others(self, folder: str, mark: str) -> bool:
        found = self._store.below(folder)
        if not found:
            return False
        # Written anew for the store's own time.
        self._store.put(mark, b"\n")
        now: datetime = next(
            info.modified_at for info in self._store.below(mark.rpartition("/")[0]) if info.path == mark
        )
        return any(now - info.modified_at < _STALE for info in found)
