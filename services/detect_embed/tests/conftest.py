"""A real service process with the models that ship, for tests that only ask."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import grpc
import numpy as np
import pytest
import waiting
from picoseek_chassis.health_probe import probe
from picoseek_protos.v1 import detect_embed_service_pb2_grpc

START_WITHIN_S = 180.0
STOP_WITHIN_S = 60.0


@dataclass(frozen=True)
class RunningService:
    """A detect_embed process that serves."""

    address: str
    """host:port."""
    process: subprocess.Popen[bytes]
    """Its front process."""
    log: Path
    """What it wrote."""

    def engine_pids(self) -> dict[str, int]:
        """Return the newest engine process of each model by its name, as the log tells."""
        pids: dict[str, int] = {}
        for line in self.log.read_text().splitlines():
            if " ready: process " in line:
                name = line.split("engine ")[-1].split("/")[0]
                pids[name] = int(line.split("ready: process ")[1].split(",")[0])
        return pids

    def is_alive(self, pid: int) -> bool:
        """Return whether one of its processes is still there."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def wait_until_serving(self) -> None:
        """Return when the service says that it serves; fail when it has ended."""
        try:
            waiting.until(
                lambda: self.process.poll() is not None or probe(self.address, "", 2.0) is None, within_s=START_WITHIN_S
            )
        except TimeoutError:
            pytest.fail(f"it does not serve: {probe(self.address, '', 2.0)}\n{self.log.read_text()}")
        assert self.process.poll() is None, self.log.read_text()

    def wait_until_ended(self) -> None:
        """Return when a service that was told to stop has ended; kill it and fail when it does not end."""
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"it does not stop\n{self.log.read_text()}")


def _start(folder: Path, output: IO[bytes], bundles: Sequence[Path] = (), **settings: object) -> RunningService:
    port = waiting.free_port()
    arguments = [part for bundle in bundles for part in ("--bundle", str(bundle))]
    command = [sys.executable, "-m", "picoseek_detect_embed", "--port", str(port), *arguments]
    environment = {f"PICOSEEK_DETECT_EMBED_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    return RunningService(f"127.0.0.1:{port}", process, folder / "log")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the whole run; tests that harm it take `own_service`."""
    folder = tmp_path_factory.mktemp("detect-embed")
    with (folder / "log").open("wb") as output:
        running = _start(folder, output, metrics_address="127.0.0.1:0")
        try:
            running.wait_until_serving()
            yield running
        finally:
            running.process.terminate()
            running.wait_until_ended()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Start services of the test's own, with bundles and settings of its choice; nobody waits until they serve.

    They warm their engines for fewer shapes than usual, which takes seconds less.
    """
    started: list[RunningService] = []
    with contextlib.ExitStack() as outputs:

        def start(*bundles: Path, **settings: object) -> RunningService:
            folder = tmp_path / f"service-{len(started)}"
            folder.mkdir()
            output = outputs.enter_context((folder / "log").open("wb"))
            started.append(_start(folder, output, bundles, **{"max_batch": 4, **settings}))
            return started[-1]

        try:
            yield start
        finally:
            for running in started:
                if running.process.poll() is None:
                    running.process.terminate()
            for running in started:
                running.wait_until_ended()


@pytest.fixture
def own_service(start_service: Callable[..., RunningService]) -> RunningService:
    """A service of the test's own, with the models that ship."""
    running = start_service()
    running.wait_until_serving()
    return running


@pytest.fixture
def stub(service: RunningService) -> Iterator[Any]:
    """The service's stub."""
    with grpc.insecure_channel(service.address) as channel:
        yield detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG of a bright disc and a square on a dark ground, 320 x 240 px."""
    pixels = np.full((240, 320, 3), 40, np.uint8)
    cv2.circle(pixels, (100, 120), 60, (40, 60, 230), -1)
    cv2.rectangle(pixels, (200, 60), (290, 180), (230, 190, 40), -1)
    return cv2.imencode(".png", pixels)[1].tobytes()
