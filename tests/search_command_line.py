"""`picoseek` as a user runs it, against a real search service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import waiting

WITHIN_S = 180.0


class CommandLine:
    """Runs `picoseek` against a search service."""

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self, *arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit status."""
        done = subprocess.run(
            [sys.executable, "-m", "picoseek.cli", *map(str, arguments)],
            env=os.environ | {"PICOSEEK_SEARCH_ADDRESS": self.address},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object) -> Any:
        """Run a command with --json; standard output must hold JSON alone."""
        return json.loads(self.run(*arguments, "--json").stdout)


@contextmanager
def search_command_line(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[CommandLine]:
    """Start a search service with its data and log in `folder`, and stop it at the end."""
    address = f"127.0.0.1:{waiting.free_port()}"
    command = [sys.executable, "-m", "picoseek_search", "--port", address.rpartition(":")[2]]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")], env=os.environ | (settings or {}), stdout=log, stderr=log
        )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(WITHIN_S)
        yield CommandLine(address)
    finally:
        process.terminate()
        assert process.wait(WITHIN_S) == 0, (folder / "log").read_text()
