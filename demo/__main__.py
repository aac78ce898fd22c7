"""`make demo`: real photographs recognised by both services, with one command."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from picoseek import Client, PicoSeekError
from rich.console import Console

from demo.cases import Cases, PackagedCases
from demo.local_services import ServicesError, local_services
from demo.own_pictures import OwnCases
from demo.run import run_demo
from demo.sources import SourceError, Sources

EMBEDDERS = ("efficientnet-lite0",)


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder with the unpacked picture packages")
    parser.add_argument("--data", type=Path, help="own pictures: a folder a class")
    parser.add_argument("--embedder", choices=EMBEDDERS, help="another embedder than the one that ships")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="where pictures and report go")
    given = parser.parse_args()
    console = Console(stderr=True)
    started = time.monotonic()
    try:
        cases: Cases = (
            OwnCases(given.data, given.output, lambda line: console.print(line, style="yellow", highlight=False))
            if given.data
            else PackagedCases(Sources(given.packages))
        )
        given.output.mkdir(parents=True, exist_ok=True)
        bundles = _bundles(given.embedder, given.output.parent / "bundles", console)
        console.print("starting detect_embed and search, each in a process of its own")
        with (
            tempfile.TemporaryDirectory(prefix="picoseek-demo-") as data_dir,
            local_services(Path(data_dir), bundles, given.output / "services.log") as connection,
            Client(connection) as client,
        ):
            report = run_demo(cases, client, given.output, console)
    except (SourceError, ServicesError, PicoSeekError) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    report.show(console)
    console.print(
        f"\n{time.monotonic() - started:.0f} s in all. Look at {given.output}/recognized/ and "
        f"{given.output}/clip.mp4; the figures are in {given.output}/report.json.\n"
        "Next: `make demo DATA=<folder a class>` with your own pictures, or `.venv/bin/picoseek serve` and\n"
        "`.venv/bin/picoseek gallery import <folder> --gallery mine` and `… recognize <picture> --gallery mine`.",
        highlight=False,
    )
    return 0


def _bundles(embedder: str | None, folder: Path, console: Console) -> list[Path]:
    if embedder is None:
        return []
    target = folder / embedder
    if not (target / "manifest.json").exists():
        console.print(f"building the bundle {embedder}")
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "picoseek.cli", "models", "build", embedder, "--out", str(target)]
        if subprocess.run(command).returncode != 0:
            raise ServicesError(f"the bundle {embedder} could not be built; the message stands above")
    return [target]


if __name__ == "__main__":
    sys.exit(main())
