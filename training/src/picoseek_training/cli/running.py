"""A training as the user sees it: a bar on standard error, event files when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from picoseek_training.cli.termination import ended_by_sigterm
from picoseek_training.progress import Progress
from picoseek_training.run_log.follower import LogFollower
from picoseek_training.run_log.position import steps_done
from picoseek_training.run_log.tensorboard import TensorBoardScalars


@contextmanager
def shown_run(output: Path, log: str, phases: Sequence[int], tensorboard: bool, primary: bool = True) -> Iterator[None]:
    """Show what the block's training writes into its log; SIGTERM ends it as Ctrl-C does.

    Args:
        output: Folder of the run.
        log: Name of the log in it.
        phases: Steps of each phase; the block may still add them before it trains.
        tensorboard: Whether to write event files.
        primary: Whether this is the process that writes the log; others show nothing.

    Raises:
        ValueError: Event files are asked for and cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        if primary:
            scalars = stack.enter_context(TensorBoardScalars(output / "tensorboard", phases)) if tensorboard else None
            stack.enter_context(LogFollower(output / log, _Shown(phases, scalars).show))
        yield


class _Shown:
    """Standard error and event files, entry after entry."""

    def __init__(self, phases: Sequence[int], scalars: TensorBoardScalars | None) -> None:
        self._phases = phases
        self._scalars = scalars
        self._bars: dict[str, Progress] = {}

    def show(self, entry: dict[str, Any]) -> None:
        """Show one entry of the log."""
        if self._scalars is not None:
            self._scalars.write(entry)
        if "evaluation" in entry:
            figures = {name: f"{value:.4f}" for name, value in entry.items() if isinstance(value, float)}
            click.echo(" ".join([str(entry["evaluation"]), *(f"{k}={v}" for k, v in figures.items())]), err=True)
        elif "complete" in entry:
            click.echo(
                f"the run is complete with {entry['complete']} steps; let the recipe take more to go on, or name "
                "another `output` to begin anew",
                err=True,
            )
        elif "preparing" in entry:
            self._bar(str(entry["preparing"]), int(entry["done"]), int(entry["units"]))
        else:
            done = steps_done(entry, self._phases)
            if done is not None:
                self._bar("training", done, sum(self._phases))

    def _bar(self, stage: str, done: int, total: int) -> None:
        self._bars.setdefault(stage, Progress(stage))(done, total)
