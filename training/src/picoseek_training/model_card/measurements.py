"""Public tasks, measured through the running services as a user would."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from picoseek_training.data.retrieval_sets import Example, retrieval_tasks

_READY_WITHIN_S = 180.0
DETECTION_SETS = ("raccoon", "fruit", "fod", "household")
"""Sets with a public test split."""


class ServicesError(RuntimeError):
    """The services do not start, or a measurement fails; the message has their own words."""


@contextmanager
def running_services(bundles: Sequence[Path], folder: Path) -> Iterator[list[str]]:
    """Run both services; yields the options by which the command line finds them.

    Raises:
        ServicesError: they end or are not ready in time.
    """
    detect_embed, search = _free_port(), _free_port()
    options = ["--detect-embed", f"127.0.0.1:{detect_embed}", "--search", f"127.0.0.1:{search}"]
    command = [*_picoseek("serve"), "--data-dir", str(folder / "galleries")]
    command += ["--detect-embed-port", str(detect_embed), "--search-port", str(search)]
    for bundle in bundles:
        command += ["--bundle", str(bundle)]
    log = folder / "services.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + _READY_WITHIN_S
        while subprocess.run([*_picoseek("models", "list"), *options], capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServicesError(f"the services are not ready:\n{log.read_text(errors='replace')}")
        yield options
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def measure_retrieval(root: Path, name: str, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return the figures of whole pictures on one of RETRIEVAL_TASKS.

    Args:
        root: folder of the public sets.
        name: the task.
        options: what `running_services` gave.
        folder: scratch space.

    Raises:
        FileNotFoundError: its data are not under `root`.
        ServicesError: the measurement fails.
    """
    (task,) = retrieval_tasks(root, (name,))
    sides: list[str] = []
    for side, examples in (("gallery", task.gallery), ("query", task.queries)):
        path = folder / f"{name}-{side}.csv"
        _write_csv(path, examples)
        sides += [f"--{side}", str(path)]
    return _evaluate("retrieval", *sides, *options)


def measure_detection(root: Path, name: str, options: Sequence[str]) -> dict[str, Any]:
    """Return the figures of the boxes on one of DETECTION_SETS.

    Raises:
        FileNotFoundError: its data are not under `root`.
        ServicesError: the measurement fails.
    """
    folder = root / "detection" / name
    truth = folder / "test.json"
    if not truth.exists():
        raise FileNotFoundError(f"{truth} does not exist")
    return _evaluate("detection", "--images", str(folder / "images"), "--coco", str(truth), *options)


def _evaluate(*arguments: str) -> dict[str, Any]:
    finished = subprocess.run(
        [*_picoseek("eval"), *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise ServicesError(f"picoseek eval {' '.join(arguments)} failed:\n{finished.stderr}")
    figures: dict[str, Any] = json.loads(finished.stdout)
    return figures


def _write_csv(path: Path, examples: Sequence[Example]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        writer.writerows((str(example.path.resolve()), example.label) for example in examples)


def _picoseek(*arguments: str) -> list[str]:
    # Training knows the client as a command only.
    return [str(Path(sys.executable).parent / "picoseek"), *arguments]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
