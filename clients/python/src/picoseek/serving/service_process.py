"""One service as a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from picoseek.errors import UnavailableError

_TETHER = Path(__file__).with_name("tether.py")
_LAST_LINES = 15
_LONGEST_LAST_LINE = 300


@dataclass(frozen=True)
class ServiceCommand:
    """How a service is started."""

    name: str
    """Name for people."""
    address: str
    """host:port on which it will answer."""
    command: Sequence[str]
    """Program and arguments."""


class ServiceProcess:
    """A started service. Its output goes line by line to `show`."""

    def __init__(self, command: ServiceCommand, process: asyncio.subprocess.Process, show: Callable[[str], None]):
        self.command = command
        self._process = process
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._reading = asyncio.create_task(self._read(show))

    @classmethod
    async def start(cls, command: ServiceCommand, show: Callable[[str], None]) -> ServiceProcess:
        """Start a service; it ends with this process, however that ends (on Linux).

        Raises:
            UnavailableError: the program cannot be started.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(_TETHER),
                str(os.getpid()),
                *command.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                # Ctrl-C reaches this process alone, which then ends the services in order.
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"{command.name} cannot be started: {error}") from error
        return cls(command, process, show)

    @property
    def last_lines(self) -> str:
        """The end of its output, long lines cut."""
        return "\n".join(self._last)

    async def wait(self) -> int:
        """Return its exit status once it has ended and all its output was shown."""
        status = await self._process.wait()
        await self._reading
        return status

    async def stop(self, grace_s: float) -> None:
        """End it: ask first, and kill it after the grace."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self._process.kill()
        # Processes that it started may hold its output open; what they still say is nobody's business.
        await asyncio.wait({self._reading}, timeout=1.0)
        self._reading.cancel()

    async def _read(self, show: Callable[[str], None]) -> None:
        assert self._process.stdout is not None  # it is a pipe
        while line := await _line(self._process.stdout):
            text = line.decode(errors="replace").rstrip()
            self._last.append(text if len(text) <= _LONGEST_LAST_LINE else f"{text[:_LONGEST_LAST_LINE]} ...")
            show(text)


async def _line(output: asyncio.StreamReader) -> bytes:
    try:
        return await output.readline()
    except ValueError:  # a line longer than the buffer, which has been cleared
        return b"(a very long line)\n"
