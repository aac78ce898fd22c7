"""Processes on one core, what they use, and free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_WITHIN_S = 120.0


class PinnedProcess:
    """A server on one core that is there when it listens on its port."""

    def __init__(self, arguments: Sequence[str], port: int, core: int, log: Path) -> None:
        """Start it and wait.

        Args:
            arguments: command line.
            port: where it will listen, on 127.0.0.1.
            core: where it runs.
            log: for what it writes.
        """
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PICOSEEK_SEARCH_SEARCH_THREADS": "1"},
            )
        self.pid = self._process.pid
        until = time.monotonic() + _WITHIN_S
        while not _listens(port):
            if self._process.poll() is not None:
                raise RuntimeError(f"{arguments[0]} ended with {self._process.returncode}; see {log}")
            if time.monotonic() > until:
                self.stop()
                raise TimeoutError(f"{arguments[0]} does not listen; see {log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_WITHIN_S)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def family(pid: int) -> list[int]:
    """Return a process and everything that descends from it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        for stat in _of([int(folder.name)], "stat"):
            parents[int(folder.name)] = int(_fields(stat)[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the processor time that processes and their ended children have used, in seconds."""
    return sum(sum(map(int, _fields(stat)[11:15])) for stat in _of(pids, "stat")) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes that is not backed by files; what they share with each other counts once."""
    private, shared = 0, 0
    for status in _of(pids, "status"):
        lines = (line.split() for line in status.splitlines())
        sizes = {line[0]: int(line[1]) * 1024 for line in lines if line[0] in ("RssAnon:", "RssShmem:")}
        private += sizes.get("RssAnon:", 0)
        shared = max(shared, sizes.get("RssShmem:", 0))
    return private + shared


def _of(pids: Iterable[int], name: str) -> Iterator[str]:
    for pid in pids:
        # A process may have ended since it was listed.
        with suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{pid}/{name}").read_text()


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
