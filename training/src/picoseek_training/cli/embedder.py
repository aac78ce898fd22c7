"""`picoseek-train embedder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from picoseek_training.cli.options import config_option, set_option, tensorboard_option


@click.command()
@config_option
@set_option
@tensorboard_option
def embedder(config_path: Path, overrides: tuple[str, ...], tensorboard: bool) -> None:
    """Train an embedder; an interrupted run goes on from its last checkpoint, exactly.

    `method: recognition` in the recipe learns from labels, with or without `distillation`; otherwise the embedder
    learns to answer as fixed teachers do. Checkpoints and the log (`log.jsonl`) lie in the recipe's output folder,
    decoded pictures and the teachers' features in its cache.
    """
    train_embedder(config_path, overrides, tensorboard)


def train_embedder(config_path: Path, overrides: Sequence[str], tensorboard: bool) -> None:
    """Train what a recipe with changes describes, and say where its last checkpoint lies."""
    # What needs Paddle is imported by the commands that use it: that takes seconds.
    import cv2

    from picoseek_training.cli.running import shown_run
    from picoseek_training.embedder.recipe import read_embedder_recipe
    from picoseek_training.embedder.training import EmbedderTraining
    from picoseek_training.parallel.processes import launched_processes
    from picoseek_training.recognition.config import RecognitionTrainingConfig
    from picoseek_training.recognition.training import RecognitionTraining
    from picoseek_training.run.folder import LAST, LOG

    cv2.setNumThreads(1)
    config = read_embedder_recipe(config_path, overrides)
    processes = launched_processes()
    phases: list[int] = []
    with shown_run(config.output, LOG, phases, tensorboard, processes.primary):
        click.echo("preparing", err=True)
        if isinstance(config, RecognitionTrainingConfig):
            recognition = RecognitionTraining(config, processes)
            phases.append(recognition.steps)
            recognition.run()
        else:
            phases.extend(phase.steps for phase in config.phases)
            EmbedderTraining(config, processes).run()
    click.echo(config.output / LAST)
