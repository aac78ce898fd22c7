"""A training as the user sees it: a bar on standard error, event files when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from picoseek_training.progress import Progress
from picoseek_training.run_log.follower import LogFollower
from picoseek_training.run_log.position import steps_done
from picoseek_training.run_log.tensorboard import TensorBoardScalars


@contextmanager
def shown_run(output: Path, log: str, phases: Sequence[int], tensorboard: bool) -> Iterator[None]:
    """Show what the block's training writes into its log.

    Args:
        output: Folder of the run.
        log: Name of the log in it.
        phases: Steps of each phase.
        tensorboard: Whether to write event files.

    Raises:
        ValueError: Event files are asked for and cannot be written.
    """
    bar = Progress("training")
    with ExitStack() as stack:
        scalars = stack.enter_context(TensorBoardScalars(output / "tensorboard", phases)) if tensorboard else None

        def show(entry: dict[str, Any]) -> None:
            if scalars is not None:
                scalars.write(entry)
            if "evaluation" in entry:
                figures = {name: f"{value:.4f}" for name, value in entry.items() if isinstance(value, float)}
                click.echo(" ".join([str(entry["evaluation"]), *(f"{k}={v}" for k, v in figures.items())]), err=True)
                return
            done = steps_done(entry, phases)
            if done is not None:
                bar(done, sum(phases))

        stack.enter_context(LogFollower(output / log, show))
        yield
