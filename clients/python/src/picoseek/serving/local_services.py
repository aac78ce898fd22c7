"""Starts both services, waits until they serve, and ends them together."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from picoseek.errors import FailedPreconditionError, UnavailableError
from picoseek.service_health import describe_health
from picoseek.serving.service_process import ServiceCommand, ServiceProcess

_STOP_GRACE_S = 15.0
_CHECK_EVERY_S = 0.2


@dataclass(frozen=True)
class ServeConfig:
    """What is started where."""

    data_dir: Path
    """Directory of the galleries; made if it is not there."""
    detect_embed_port: int
    """Port of detect_embed on the loopback address."""
    search_port: int
    """Port of search on the loopback address."""
    bundles: Sequence[Path] = ()
    """Folders of models to serve; a task without any gets the one that ships with PicoSeek."""
    start_timeout_s: float = 180.0
    """Both must serve within this time, in seconds."""

    @property
    def detect_embed_address(self) -> str:
        """Pictures in, vectors out."""
        return f"127.0.0.1:{self.detect_embed_port}"

    @property
    def search_address(self) -> str:
        """Vectors in, matches out."""
        return f"127.0.0.1:{self.search_port}"


class LocalServices:
    """Both services as child processes."""

    def __init__(self, config: ServeConfig, show: Callable[[str, str], None]) -> None:
        """Make services that are not started yet.

        Args:
            config: what is started where.
            show: told of each line that a service writes: name and line.
        """
        self._config = config
        self._show = show
        self._processes: list[ServiceProcess] = []

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Start both, call `ready` when both serve, and end both once `stop` is set.

        Raises:
            FailedPreconditionError: a service is not installed, or its port is taken.
            UnavailableError: a service ended by itself, or does not serve in time.
        """
        asked = asyncio.create_task(stop.wait())
        try:
            for command in await self._commands():
                self._processes.append(await ServiceProcess.start(command, self._lines_of(command.name)))
            ended = [asyncio.create_task(process.wait()) for process in self._processes]
            serving = asyncio.create_task(self._until_both_serve())
            await asyncio.wait({asked, serving, *ended}, return_when=asyncio.FIRST_COMPLETED)
            self._require_alive(ended)
            if serving.done():
                serving.result()
                ready()
                await asyncio.wait({asked, *ended}, return_when=asyncio.FIRST_COMPLETED)
                self._require_alive(ended)
            serving.cancel()
        finally:
            asked.cancel()
            await asyncio.gather(*(process.stop(_STOP_GRACE_S) for process in self._processes))

    async def _commands(self) -> list[ServiceCommand]:
        config = self._config
        for name, address in (("detect_embed", config.detect_embed_address), ("search", config.search_address)):
            if await _is_taken(address):
                raise FailedPreconditionError(
                    f"{address} is taken, so {name} cannot listen there; is PicoSeek running already? "
                    f"Stop what uses it, or choose another port with --{name.replace('_', '-')}-port"
                )
        config.data_dir.mkdir(parents=True, exist_ok=True)
        bundles = [argument for path in config.bundles for argument in ("--bundle", str(path.resolve()))]
        return [
            ServiceCommand(
                "detect_embed",
                config.detect_embed_address,
                [*_program("detect_embed"), "--port", str(config.detect_embed_port), *bundles],
            ),
            ServiceCommand(
                "search",
                config.search_address,
                [
                    *_program("search"),
                    "--port",
                    str(config.search_port),
                    "--data-dir",
                    str(config.data_dir.resolve()),
                ],
            ),
        ]

    def _lines_of(self, name: str) -> Callable[[str], None]:
        return lambda line: self._show(name, line)

    async def _until_both_serve(self) -> None:
        await asyncio.gather(
            *(_until_serving(process.command, self._config.start_timeout_s) for process in self._processes)
        )

    def _require_alive(self, ended: Sequence[asyncio.Task[int]]) -> None:
        for process, task in zip(self._processes, ended, strict=True):
            if task.done():
                last = f"; its last words:\n{process.last_lines}" if process.last_lines else ""
                raise UnavailableError(f"{process.command.name} ended by itself with status {task.result()}{last}")


async def _until_serving(command: ServiceCommand, timeout_s: float) -> None:
    problem: str | None = None
    try:
        async with asyncio.timeout(timeout_s):
            while problem := await describe_health(command.address, timeout_s=2.0):
                await asyncio.sleep(_CHECK_EVERY_S)
    except TimeoutError:
        raise UnavailableError(
            f"{command.name} at {command.address} does not serve after {timeout_s:.0f} s: {problem}"
        ) from None


async def _is_taken(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return True
    return False


def _program(service: str) -> list[str]:
    """Return how to run a service: its executable beside this Python, else its module."""
    executable = Path(sys.executable).with_name(f"picoseek-{service.replace('_', '-')}")
    if executable.is_file():
        return [str(executable)]
    module = f"picoseek_{service}"
    if importlib.util.find_spec(module) is None:
        raise FailedPreconditionError(
            f"{service} is not installed here; `pip install 'picoseek[serve]'` installs both services"
        )
    return [sys.executable, "-m", module]
