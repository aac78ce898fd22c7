"""`picoseek-train export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import yaml

from picoseek_training.cli.options import checkpoint_option, config_option, set_option

_WHITENING_VIEWS = 6000

out_option = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the bundle; a bundle there is replaced.",
)


@click.group()
def export() -> None:
    """Write a trained model as a bundle, which `picoseek serve --bundle` serves."""


@export.command()
@config_option
@set_option
@checkpoint_option
@out_option
def detector(config_path: Path, overrides: tuple[str, ...], checkpoint: Path | None, out: Path) -> None:
    """Measure a detector on the recipe's sets and write it with its figures; `bundle` in the recipe describes it."""
    import cv2

    from picoseek_training.configuration import read_configuration
    from picoseek_training.detector.config import DetectorTrainingConfig
    from picoseek_training.detector.export import export_trained
    from picoseek_training.detector.measurement import measure, trained_detector

    cv2.setNumThreads(1)
    config = read_configuration(DetectorTrainingConfig, config_path, overrides)
    network = trained_detector(config, checkpoint)
    changes = (part for override in overrides for part in ("--set", override))
    command = shlex.join(["picoseek-train", "detector", "--config", str(config_path), *changes])
    _say(export_trained(config, network, measure(config, network), command, out))


@export.command()
@config_option
@set_option
@checkpoint_option
@out_option
@click.option(
    "--card",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with MODEL_CARD.md, and manifest.yaml with name, version, license and the like.",
)
@click.option("--side", type=click.IntRange(min=32), help="Input size in pixels (default: that of the last phase).")
@click.option("--whiten", "whitened", is_flag=True, help="Give all directions of the training pictures one variance.")
def embedder(
    config_path: Path,
    overrides: tuple[str, ...],
    checkpoint: Path | None,
    out: Path,
    card: Path,
    side: int | None,
    whitened: bool,
) -> None:
    """Write an embedder; what the bundle says of itself stands in the folder --card."""
    import cv2
    from picoseek_bundle import InputSpec

    from picoseek_training.cli.trained_embedder import trained_embedder
    from picoseek_training.configuration import read_configuration
    from picoseek_training.embedder.config import EmbedderTrainingConfig
    from picoseek_training.embedder.export import export_bundle
    from picoseek_training.embedder.training import training_views
    from picoseek_training.embedder.whitening import pooled_features, whiten

    cv2.setNumThreads(1)
    fields, text = _card(card)
    config = read_configuration(EmbedderTrainingConfig, config_path, overrides)
    network, size = trained_embedder(config, checkpoint), side or config.phases[-1].side
    if whitened:
        whiten(network, pooled_features(network, training_views(config, _WHITENING_VIEWS, size)))
    spec = InputSpec(width=size, height=size)
    _say(export_bundle(network, spec, config.student.dimension, text, out, **fields))


def _card(folder: Path) -> tuple[dict[str, Any], Path]:
    manifest, text = folder / "manifest.yaml", folder / "MODEL_CARD.md"
    for file in (manifest, text):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} does not exist; --card takes a folder with MODEL_CARD.md and manifest.yaml"
            )
    try:
        fields = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{manifest} is no YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{manifest} must be fields of a manifest: `name: …`, `version: …`, `license: …`")
    return fields, text


def _say(bundle: Any) -> None:
    click.echo(f"{bundle.folder}: {bundle.manifest.name} {bundle.manifest.version}")
    click.echo(f"`picoseek serve --bundle {bundle.folder}` serves it", err=True)
