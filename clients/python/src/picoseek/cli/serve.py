"""`picoseek serve`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import click

from picoseek.cli.output import notes
from picoseek.connection import DETECT_EMBED_PORT, SEARCH_PORT
from picoseek.serving.local_services import LocalServices, ServeConfig

_PORT = click.IntRange(1, 65535)


def default_data_dir() -> Path:
    """Return where galleries are kept if nothing is said: the same place from every working directory."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "picoseek"


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_data_dir,
    show_default="~/.local/share/picoseek",
    help="Directory of the galleries.",
)
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Folder of a model to serve; may be given several times. A task without any gets the model that ships.",
)
@click.option("--detect-embed-port", type=_PORT, default=DETECT_EMBED_PORT, show_default=True)
@click.option("--search-port", type=_PORT, default=SEARCH_PORT, show_default=True)
def serve(data_dir: Path, bundles: tuple[Path, ...], detect_embed_port: int, search_port: int) -> None:
    """Run both services on this machine, until Ctrl-C."""
    console = notes()
    config = ServeConfig(data_dir, detect_embed_port, search_port, bundles)
    width = len("detect_embed")

    def show(name: str, line: str) -> None:
        console.print(f"{name:<{width}} | {line}", style="dim" if name == "search" else None)

    def ready() -> None:
        console.print(f"\nPicoSeek is ready; galleries are kept in {config.data_dir}", style="bold green")
        console.print(f"  detect_embed  {config.detect_embed_address}")
        console.print(f"  search        {config.search_address}")
        console.print("Press Ctrl-C to stop.\n")

    asyncio.run(_until_stopped(LocalServices(config, show), ready))


async def _until_stopped(services: LocalServices, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await services.run(ready, stop)
