"""The real services, started once for all tests that only add to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import waiting
from picoseek_chassis.health_probe import probe

START_WITHIN_S = 180.0


@dataclass(frozen=True)
class RunningServices:
    """Addresses of the two services, host:port."""

    detect_embed: str
    """Pictures in, vectors out."""
    search: str
    """Vectors in, matches out."""
    data_dir: Path
    """Where search keeps its data."""


# Fewer shapes to warm, which takes seconds less.
SMALL_BATCHES = {"PICOSEEK_DETECT_EMBED_MAX_BATCH": "4"}


@pytest.fixture(scope="module", autouse=True)
def small_batches() -> Iterator[None]:
    """Let the services that are started here, and not those of other tests, take small batches."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL_BATCHES.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def running_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """Both services as processes of their own on free ports."""
    folder = tmp_path_factory.mktemp("services")
    services = RunningServices(
        f"127.0.0.1:{waiting.free_port()}", f"127.0.0.1:{waiting.free_port()}", folder / "search"
    )
    commands = {
        services.detect_embed: ["picoseek_detect_embed"],
        services.search: ["picoseek_search", "--data-dir", str(services.data_dir)],
    }
    processes = []
    try:
        for address, (module, *arguments) in commands.items():
            port = address.rpartition(":")[2]
            log = (folder / f"{module}.log").open("wb")
            command = [sys.executable, "-m", module, "--port", port, *arguments]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | SMALL_BATCHES))
        for process, address in zip(processes, commands, strict=True):
            waiting.until(
                lambda process=process, address=address: process.poll() is not None or probe(address, "", 2) is None,
                within_s=START_WITHIN_S,
            )
            assert process.poll() is None, (folder / f"{commands[address][0]}.log").read_text()
        yield services
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
