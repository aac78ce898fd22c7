"""Child processes that an event loop waits for, started without fork().

The event loop's own subprocesses are: uvloop starts them by fork(), which first runs what libraries registered for
it. gRPC waits there for its threads, now and then for ever, with the loop held up and signals unheard, and closes
connections. `subprocess` uses vfork(), which runs nothing of the kind.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self


class ChildProcess:
    """A child of this process; used from the thread of its event loop alone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._ended = asyncio.Event()
        watch = threading.Thread(
            target=self._watch, args=(asyncio.get_running_loop(),), name=f"child-{process.pid}", daemon=True
        )
        watch.start()

    @classmethod
    def start(
        cls, command: Sequence[str], *, output: int, descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Self:
        """Start a process that reads nothing from standard input.

        It is a child of the calling thread: on Linux, one that asks to be killed with its parent ends with the thread.

        Args:
            command: the program and its arguments.
            output: descriptor that takes its standard output; standard error is inherited.
            descriptors: further descriptors that it inherits, by the same numbers.
            environment: all of its environment.

        Raises:
            OSError: the process cannot be started.
        """
        return cls(
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, pass_fds=tuple(descriptors), env=environment
            )
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status, minus the signal that ended it, or None while it runs."""
        return self._process.returncode

    def kill(self) -> None:
        """End the process at once; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._ended.wait()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        # A loop that is closed waits for nothing any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended.set)
