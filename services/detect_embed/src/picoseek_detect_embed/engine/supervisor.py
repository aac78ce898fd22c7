"""Keeps one engine alive: starts it, notices at once when it dies, starts it again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from picoseek_detect_embed.engine.arena import Arena
from picoseek_detect_embed.engine.errors import EngineStartError, ModelLoadError
from picoseek_detect_embed.engine.process import EngineProcess
from picoseek_detect_embed.engine.spec import EngineSpec

_LOG = logging.getLogger(__name__)


class EngineState(Enum):
    """Whether an engine takes batches."""

    STARTING = "starting"
    """Its process starts, for the first time or again."""
    READY = "ready"
    """It takes batches."""
    FAILED = "failed"
    """Its process cannot be started; attempts go on, but only a few if it never was ready."""


@dataclass(frozen=True)
class RestartPolicy:
    """How long to wait for and between starts."""

    start_timeout_s: float = 120.0
    """An engine that is not ready by then is killed and counts as failed."""
    first_delay_s: float = 0.5
    """Delay before the second restart in a row, which doubles with each further one. The first comes at once."""
    longest_delay_s: float = 30.0
    """Upper bound of the delay."""
    first_attempts: int = 3
    """Starts that may fail before the engine was ever ready; then it is given up."""
    stable_s: float = 30.0
    """An engine that lived so long starts the count of restarts anew."""


class EngineSupervisor:
    """One engine, whichever process it lives in at the moment."""

    def __init__(
        self,
        name: str,
        spec: EngineSpec,
        arena: Arena,
        policy: RestartPolicy = RestartPolicy(),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare an engine.

        Args:
            name: for the log.
            spec: what to run.
            arena: shared memory with room for the spec's inputs.
            policy: when to restart.
            on_change: called after every change of `state`.
        """
        self.name = name
        self.state = EngineState.STARTING
        self.problem = ""
        """Why the last start failed."""
        self.start_s = 5.0
        """Seconds that the last start took."""
        self.item_s = 0.0
        """Seconds an item took in the largest batch when the engine was warmed."""
        self._spec = spec
        self._arena = arena
        self._policy = policy
        self._on_change = on_change
        self._process: EngineProcess | None = None
        self._ready = asyncio.Event()

    @property
    def process(self) -> EngineProcess | None:
        """The process when it is ready for a batch, else None."""
        return self._process if self._process is not None and not self._process.lost.is_set() else None

    async def ready(self) -> EngineProcess:
        """Wait until there is a process that takes batches, and return it."""
        while True:
            await self._ready.wait()
            if (process := self.process) is not None:
                return process
            # Its death is known, but the supervising task has not come to it yet.
            await asyncio.sleep(0)

    async def supervise(self) -> None:
        """Keep the engine alive until cancelled; the process ends with it.

        Raises:
            EngineStartError: the engine was never ready, and its model cannot be loaded or too many starts failed.
        """
        attempts = 0
        was_ready = False
        while True:
            if attempts > 1:
                exponent = min(attempts - 2, 16)
                await asyncio.sleep(min(self._policy.first_delay_s * 2**exponent, self._policy.longest_delay_s))
            started = time.monotonic()
            try:
                process = await EngineProcess.start(self._spec, self._arena, self._policy.start_timeout_s)
            except (EngineStartError, OSError) as error:
                self.problem = str(error)
                _LOG.error("engine %s cannot be started: %s", self.name, error)
                self._set_state(EngineState.FAILED)
                attempts = max(attempts, 1) + 1
                hopeless = isinstance(error, ModelLoadError) or attempts > self._policy.first_attempts
                if hopeless and not was_ready:
                    raise EngineStartError(self.problem) from error
                continue
            was_ready = True
            born = time.monotonic()
            self.start_s = born - started
            self.item_s = process.item_s
            _LOG.info("engine %s ready: process %d, %.1f s", self.name, process.pid, self.start_s)
            try:
                self._process = process
                self._set_state(EngineState.READY)
                await process.lost.wait()
                _LOG.error("engine %s lost: process %d is gone; starting another", self.name, process.pid)
                self._process = None
                self._set_state(EngineState.STARTING)
            finally:
                self._process = None
                self._ready.clear()
                await process.close()
            attempts = 1 if time.monotonic() - born > self._policy.stable_s else attempts + 1

    def _set_state(self, state: EngineState) -> None:
        if state is EngineState.READY:
            self.problem = ""
            self._ready.set()
        else:
            self._ready.clear()
        if state is not self.state:
            self.state = state
            self._on_change()
