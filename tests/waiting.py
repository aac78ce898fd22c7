"""Wait for conditions with a bound, and find free ports."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from itertools import count, islice

_FIRST_PORT, _PORTS_A_WORKER = 10240, 2500
_NUMBERS = count(37 * os.getpid())
"""Other runs at the same time begin elsewhere."""


def until(condition: Callable[[], bool], within_s: float, every_s: float = 0.05) -> None:
    """Return as soon as a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {within_s} s")
        time.sleep(every_s)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on, and that was not returned before.

    It is not one of those that the system gives to connections, so it is still free when a service takes it. Each
    worker of pytest-xdist has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for number in islice(_NUMBERS, _PORTS_A_WORKER):
        port = _FIRST_PORT + worker * _PORTS_A_WORKER + number % _PORTS_A_WORKER
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("nearly all ports are taken")
