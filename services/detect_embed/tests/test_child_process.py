"""Children are started without fork(), are waited for and can be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest
import uvloop
import waiting
from picoseek_detect_embed.engine.child_process import ChildProcess

forks = 0


def _count_fork() -> None:
    global forks
    forks += 1


os.register_at_fork(before=_count_fork)


def _start(command: Sequence[str], descriptors: Sequence[int] = (), **environment: str) -> ChildProcess:
    return ChildProcess.start(
        command,
        output=sys.__stderr__.fileno(),  # type: ignore[union-attr]
        descriptors=descriptors,
        environment={**os.environ, **environment},
    )


def test_nothing_that_libraries_registered_for_forks_runs_when_a_child_starts() -> None:
    async def start() -> int | None:
        child = _start([sys.executable, "-c", ""])
        await child.wait()
        return child.status

    before = forks
    assert uvloop.run(start()) == 0
    assert forks == before


def test_a_child_has_its_descriptors_and_environment() -> None:
    async def ask() -> tuple[bytes, int | None]:
        ours, theirs = os.pipe()
        code = "import os, sys; os.write(int(sys.argv[1]), os.environ['WORD'].encode()); sys.exit(3)"
        child = _start([sys.executable, "-c", code, str(theirs)], (theirs,), WORD="arena")
        os.close(theirs)
        await child.wait()
        with os.fdopen(ours, "rb") as stream:
            return stream.read(), child.status

    assert uvloop.run(ask()) == (b"arena", 3)


def test_a_killed_child_tells_the_signal_and_may_be_killed_again() -> None:
    async def kill() -> tuple[int | None, int | None]:
        child = _start([sys.executable, "-c", "import time; time.sleep(600)"])
        running = child.status
        child.kill()
        await child.wait()
        child.kill()
        return running, child.status

    assert uvloop.run(kill()) == (None, -9)


def test_a_program_that_is_not_there_is_an_error() -> None:
    async def start() -> None:
        _start(["/nowhere/at/all"])

    with pytest.raises(FileNotFoundError):
        uvloop.run(start())


def test_a_loop_may_end_before_a_child() -> None:
    async def start() -> ChildProcess:
        return _start([sys.executable, "-c", "import time; time.sleep(600)"])

    child = uvloop.run(start())
    assert child.status is None
    child.kill()
    waiting.until(lambda: child.status == -9, within_s=60)
