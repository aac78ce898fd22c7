"""`picoseek-train embedder`."""

from __future__ import annotations

from pathlib import Path

import click

from picoseek_training.cli.options import config_option, set_option, tensorboard_option


@click.command()
@config_option
@set_option
@tensorboard_option
def embedder(config_path: Path, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train an embedder; an interrupted run goes on from its last checkpoint, exactly.

    Checkpoints and the log (`log.jsonl`) lie in the recipe's output folder, decoded pictures and the teachers' features
    in its cache.
    """
    import cv2

    from picoseek_training.cli.running import shown_run
    from picoseek_training.configuration import read_configuration
    from picoseek_training.embedder.config import EmbedderTrainingConfig
    from picoseek_training.embedder.training import LAST, LOG, EmbedderTraining

    cv2.setNumThreads(1)
    config = read_configuration(EmbedderTrainingConfig, config_path, overrides)
    with shown_run(config.output, LOG, [phase.steps for phase in config.phases], tensorboard):
        click.echo("preparing pictures, the teachers' features and the start", err=True)
        EmbedderTraining(config).run()
    click.echo(config.output / LAST)
