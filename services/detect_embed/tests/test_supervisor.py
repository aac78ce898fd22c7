"""When an engine that cannot be started is tried again, and when it is given up."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from picoseek_detect_embed.engine.arena import Arena
from picoseek_detect_embed.engine.errors import EngineStartError
from picoseek_detect_embed.engine.spec import EngineSpec, InputTensor
from picoseek_detect_embed.engine.supervisor import EngineState, EngineSupervisor, RestartPolicy

WITHIN_S = 60.0
INPUTS = (InputTensor("x", (2,)),)
ADAPTERS = '''
import os, pathlib, signal

class Dying:
    """Takes its process with it."""
    def __init__(self, spec):
        os.kill(os.getpid(), signal.SIGKILL)

class Refusing:
    """Cannot load its model."""
    def __init__(self, spec):
        raise ValueError("these are\\n  no weights")

class Once:
    """Loads its model the first time only."""
    output_names = ["y"]
    def __init__(self, spec):
        pathlib.Path(spec.program).touch(exist_ok=False)
    def run(self, inputs):
        return [inputs["x"]]
'''


@pytest.fixture
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[EngineSupervisor, Arena]:
    """A supervisor of an engine with the adapter that the test names."""
    (tmp_path / "adapters_of_test.py").write_text(ADAPTERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    arena = Arena.create(INPUTS, slots=2)
    spec = EngineSpec(
        program=str(tmp_path / "program"),
        weights="",
        inputs=INPUTS,
        outputs=(0,),
        buckets=(1,),
        slots=2,
        adapter=f"adapters_of_test:{request.param}",
    )
    policy = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.01, first_attempts=3)
    return EngineSupervisor("tiny/0", spec, arena, policy), arena


def _failures(caplog: pytest.LogCaptureFixture) -> int:
    return sum("cannot be started" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("supervisor", "reason", "attempts"),
    [("Dying", "ended with signal 9", 3), ("Refusing", "ValueError: these are no weights", 1)],
    indirect=["supervisor"],
)
async def test_an_engine_that_never_was_ready_is_given_up(
    supervisor: tuple[EngineSupervisor, Arena], reason: str, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine, _ = supervisor
    with caplog.at_level(logging.ERROR), pytest.raises(EngineStartError, match=reason):
        await asyncio.wait_for(engine.supervise(), WITHIN_S)
    assert _failures(caplog) == attempts
    assert engine.state is EngineState.FAILED


@pytest.mark.parametrize("supervisor", ["Once"], indirect=True)
async def test_an_engine_that_once_was_ready_is_never_given_up(
    supervisor: tuple[EngineSupervisor, Arena], caplog: pytest.LogCaptureFixture
) -> None:
    engine, _ = supervisor
    with caplog.at_level(logging.ERROR):
        supervising = asyncio.create_task(engine.supervise())
        process = await asyncio.wait_for(engine.ready(), WITHIN_S)
        process.kill()
        async with asyncio.timeout(WITHIN_S):
            while _failures(caplog) < 4:
                assert not supervising.done()
                await asyncio.sleep(0.02)
        supervising.cancel()
        await asyncio.wait({supervising})
    assert "FileExistsError" in engine.problem
