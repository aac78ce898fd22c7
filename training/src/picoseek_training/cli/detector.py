"""`picoseek-train detector`."""

from __future__ import annotations

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
    # What needs Paddle is imported by the commands that use it: that takes seconds.
    import cv2

    from picoseek_training.cli.running import shown_run
    from picoseek_training.configuration import read_configuration
    from picoseek_training.detector.config import DetectorTrainingConfig
    from picoseek_training.detector.preparation import prepare
    from picoseek_training.detector.training import LAST, LOG, DetectorTraining

    cv2.setNumThreads(1)
    config = read_configuration(DetectorTrainingConfig, config_path, overrides)
    with shown_run(config.output, LOG, [config.steps], tensorboard):
        click.echo("preparing pictures, the teacher's boxes and the start", err=True)
        DetectorTraining(config, *prepare(config)).run()
    click.echo(config.output / LAST)
