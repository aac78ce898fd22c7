"""SIGTERM, with which clusters and systemd stop a process, as an interruption like Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class TerminatedError(KeyboardInterrupt):
    """SIGTERM has come."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block by raising.

    Raises:
        TerminatedError: it has come.
    """
    # Its own handler, which reports a crash, is in place once it is imported.
    import paddle  # noqa: F401

    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(*_: object) -> None:
    raise TerminatedError
