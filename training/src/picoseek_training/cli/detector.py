"""`picoseek-train detector`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from picoseek_training.cli.options import config_option, set_option, tensorboard_option


@click.command()
@config_option
@set_option
@tensorboard_option
def detector(config_path: Path, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train a detector of main bodies; an interrupted run goes on from its last checkpoint.

    Checkpoints, the log (`log.jsonl`) and caches lie in the recipe's output folder.
    """
    train_detector(config_path, overrides, tensorboard)


def train_detector(config_path: Path, overrides: Sequence[str], tensorboard: bool) -> None:
    """Train what a recipe with changes describes, and say where its last checkpoint lies."""
    # What needs Paddle is imported by the commands that use it: that takes seconds.
    import cv2

    from picoseek_training.cli.running import shown_run
    from picoseek_training.configuration import read_configuration
    from picoseek_training.detector.config import DetectorTrainingConfig
    from picoseek_training.detector.preparation import prepare
    from picoseek_training.detector.training import DetectorTraining, open_folder
    from picoseek_training.parallel.processes import launched_processes
    from picoseek_training.run.folder import LAST, LOG

    cv2.setNumThreads(1)
    config = read_configuration(DetectorTrainingConfig, config_path, overrides)
    processes = launched_processes()
    phases: list[int] = []
    with shown_run(config.output, LOG, phases, tensorboard, processes.primary):
        open_folder(config, processes)
        click.echo("preparing", err=True)
        with processes.primary_first():
            ready = prepare(config)
        training = DetectorTraining(config, ready.sets, ready.detector, ready.teacher, processes)
        phases.append(training.steps)
        training.run()
    click.echo(config.output / LAST)
