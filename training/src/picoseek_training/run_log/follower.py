"""Follows the log of a run, a JSON object a line, while the run writes it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

_EVERY_S = 0.5


class LogFollower:
    """Hands every new entry of a log to a listener, from a thread of its own; what was there before is passed over.

    Used with `with`; the last entries are handed over before the block is left. The log stays the one record of a run:
    what a listener shows can be lost without loss.
    """

    def __init__(self, log: Path, listener: Callable[[dict[str, Any]], None]) -> None:
        self._log = log
        self._listener = listener
        self._at = log.stat().st_size if log.exists() else 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-follower", daemon=True)

    def __enter__(self) -> LogFollower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._read()

    def _read(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as stream:
            stream.seek(self._at)
            lines = stream.read()
        # The last line may be half written.
        whole = lines[: lines.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            self._listener(json.loads(line))
