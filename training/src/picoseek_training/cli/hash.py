"""`picoseek-train hash`."""

from __future__ import annotations

from pathlib import Path

import click

from picoseek_training.cli.options import config_option, set_option, tensorboard_option


@click.command("hash")
@config_option
@set_option
@tensorboard_option
def hash_codes(config_path: Path, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train hash codes for an embedder; an interrupted run goes on from its last checkpoint, exactly.

    The start is a bundle: the one that ships, or what `picoseek-train export embedder` wrote. Checkpoint and log
    (`log.jsonl`) lie in the recipe's output folder, the start's vectors of all pictures in its cache.
    """
    import cv2

    from picoseek_training.cli.running import shown_run
    from picoseek_training.configuration import read_configuration
    from picoseek_training.hash.config import HashTrainingConfig
    from picoseek_training.hash.training import HashTraining
    from picoseek_training.run.folder import LAST, LOG

    cv2.setNumThreads(1)
    config = read_configuration(HashTrainingConfig, config_path, overrides)
    with shown_run(config.output, LOG, [config.steps], tensorboard):
        click.echo("looking at the pictures with the start", err=True)
        HashTraining(config).run()
    click.echo(config.output / LAST)
