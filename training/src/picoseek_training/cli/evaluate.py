"""`picoseek-train eval`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from picoseek_training.cli.options import checkpoint_option, config_option, json_option, set_option


@click.group("eval")
def evaluate() -> None:
    """Measure checkpoints; `picoseek eval` measures what is served."""


@evaluate.command()
@config_option
@set_option
@checkpoint_option
@json_option
def detector(config_path: Path, overrides: tuple[str, ...], checkpoint: Path | None, as_json: bool) -> None:
    """COCO average precision and recall on the recipe's evaluation sets, whatever the class."""
    import cv2

    from picoseek_training.configuration import read_configuration
    from picoseek_training.detector.config import DetectorTrainingConfig
    from picoseek_training.detector.measurement import measure, trained_detector

    cv2.setNumThreads(1)
    config = read_configuration(DetectorTrainingConfig, config_path, overrides)
    measured = measure(config, trained_detector(config, checkpoint))
    _print({name: asdict(metrics) for name, metrics in measured.items()}, as_json)


@evaluate.command()
@config_option
@set_option
@checkpoint_option
@click.option("--task", "tasks", multiple=True, help="Task to measure (default: those of the recipe); may be repeated.")
@click.option("--side", type=click.IntRange(min=32), help="Input size in pixels (default: that of the last phase).")
@json_option
def embedder(
    config_path: Path,
    overrides: tuple[str, ...],
    checkpoint: Path | None,
    tasks: tuple[str, ...],
    side: int | None,
    as_json: bool,
) -> None:
    """Recall and mAP of whole pictures: public tasks by name, or `folder:KNOWN -> folder:ASKED` of your own."""
    import cv2

    from picoseek_training.cli.trained_embedder import trained_embedder
    from picoseek_training.data.retrieval_sets import retrieval_tasks
    from picoseek_training.embedder.recipe import input_side, read_embedder_recipe, stored_side
    from picoseek_training.evaluation.embedding import score_task

    cv2.setNumThreads(1)
    config = read_embedder_recipe(config_path, overrides)
    found = retrieval_tasks(config.data, tasks or config.evaluation)
    network, size = trained_embedder(config, checkpoint), side or input_side(config)
    scores = {task.name: score_task(network, task, size, config.cache, stored_side(config)) for task in found}
    _print({name: asdict(score) for name, score in scores.items()}, as_json)


@evaluate.command("hash")
@config_option
@set_option
@checkpoint_option
@click.option("--task", "tasks", multiple=True, help="Task to measure (default: those of the recipe); may be repeated.")
@json_option
def hash_codes(
    config_path: Path, overrides: tuple[str, ...], checkpoint: Path | None, tasks: tuple[str, ...], as_json: bool
) -> None:
    """Recall@1 of whole pictures, codes by Hamming distance beside the start's vectors by cosine."""
    import cv2

    from picoseek_training.configuration import read_configuration
    from picoseek_training.data.retrieval_sets import retrieval_tasks
    from picoseek_training.hash.config import HashTrainingConfig
    from picoseek_training.hash.export import trained_network
    from picoseek_training.hash.training import score_codes, start_bundle

    cv2.setNumThreads(1)
    config = read_configuration(HashTrainingConfig, config_path, overrides)
    found = retrieval_tasks(config.data, tasks or config.evaluation)
    start, network = start_bundle(config), trained_network(config, checkpoint)
    network.eval()
    whole = network if config.train == "network" else None
    _print({task.name: score_codes(config, start, network.head, whole, task) for task in found}, as_json)


@evaluate.command("model-card")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the public sets.",
)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Model to measure instead of the shipped one; may be repeated.",
)
@click.pass_context
def model_card(context: click.Context, data: Path, bundles: tuple[Path, ...]) -> None:
    """The tables of a model card, measured through services that are started for it."""
    from picoseek_training.model_card.__main__ import main

    context.exit(main(["--data", str(data), *(part for each in bundles for part in ("--bundle", str(each)))]))


def _print(measured: dict[str, dict[str, float]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(measured))
        return
    for name, figures in measured.items():
        click.echo(" ".join([name, *(f"{key}={value:.4f}" for key, value in figures.items())]))
