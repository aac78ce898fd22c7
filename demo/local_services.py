"""Both services as a user starts them: one command, in a process of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from picoseek import ConnectionConfig
from picoseek.service_health import describe_health

_START_WITHIN_S = 180.0
_STOP_WITHIN_S = 30.0
_CALL_TIMEOUT_S = 120.0


class ServicesError(RuntimeError):
    """The services did not start; the message has their last words."""


@contextmanager
def local_services(data_dir: Path, bundles: Sequence[Path], log: Path) -> Iterator[ConnectionConfig]:
    """Run `picoseek serve` on free ports within the block, and yield how to reach it.

    Raises:
        ServicesError: a service ended or did not serve in time.
    """
    detect_embed_port, search_port = _free_ports(2)
    command = [sys.executable, "-m", "picoseek.cli", "serve", "--data-dir", str(data_dir)]
    command += [f"--detect-embed-port={detect_embed_port}", f"--search-port={search_port}"]
    command += [f"--bundle={bundle}" for bundle in bundles]
    connection = ConnectionConfig(
        detect_embed=f"127.0.0.1:{detect_embed_port}", search=f"127.0.0.1:{search_port}", timeout_s=_CALL_TIMEOUT_S
    )
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait_until_ready(process, connection, log)
            yield connection
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], connection: ConnectionConfig, log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        answers = [asyncio.run(describe_health(at, 2.0)) for at in (connection.detect_embed, connection.search)]
        if answers == [None, None]:
            return
        time.sleep(0.2)
    last_words = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise ServicesError(f"the services did not start; {log} ends in:\n{last_words}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
