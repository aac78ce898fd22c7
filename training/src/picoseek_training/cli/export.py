"""`picoseek-train export`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from picoseek_training.cli.options import checkpoint_option, config_option, set_option

if TYPE_CHECKING:
    from picoseek_training.embedder.config import EmbedderTrainingConfig
    from picoseek_training.embedder.student import Embedder

_CARD_MANIFEST = "manifest.yaml"
_CARD_FIELDS = ("name", "version", "license", "network", "description", "trained_on", "recipe", "accuracy", "labels")
_FORMATS = ("bundle", "paddle", "pdmodel", "onnx")
_WHITENINGS = ("features", "classes")
_WHITENING_VIEWS = 6000
_PRECISIONS = ("float32", "float16", "int8")

out_option = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write: new, empty, or with an earlier export of the same format, which is replaced.",
)
format_option = click.option(
    "--format",
    "target",
    type=click.Choice(_FORMATS),
    default="bundle",
    show_default=True,
    help="A bundle; Paddle's inference files of version 3 (`paddle`) or before (`pdmodel`); or ONNX.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(_PRECISIONS),
    default="float32",
    show_default=True,
    help="In what the weights are kept; Paddle widens them in every run, engines of ONNX once.",
)
card_option = click.option(
    "--card",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For a bundle: folder with MODEL_CARD.md, and manifest.yaml with name, version, license and the like.",
)


@click.group()
def export() -> None:
    """Write a trained or imported model as a bundle, which `picoseek serve --bundle` serves, or in another format."""


@export.command()
@config_option
@set_option
@checkpoint_option
@out_option
@format_option
@precision_option
def detector(
    config_path: Path, overrides: tuple[str, ...], checkpoint: Path | None, out: Path, target: str, precision: str
) -> None:
    """Measure a detector on the recipe's sets and write it with its figures; `bundle` in the recipe describes it."""
    import cv2

    from picoseek_training.configuration import read_configuration
    from picoseek_training.detector.config import DetectorTrainingConfig
    from picoseek_training.detector.export import (
        EXPORT_MAY_CHANGE,
        detector_deployable,
        export_trained,
        input_spec,
    )
    from picoseek_training.detector.measurement import measure, trained_detector
    from picoseek_training.export.formats import Format, check_folder, write_format
    from picoseek_training.export.stored_weights import Precision
    from picoseek_training.run.folder import RunFolder

    cv2.setNumThreads(1)
    check_folder(out, Format(target))
    config = read_configuration(DetectorTrainingConfig, config_path, overrides)
    if checkpoint is None:
        # The bundle names the command that trained it, which must not say what was not trained.
        RunFolder(config.output, writes=False).check(config, may_change=EXPORT_MAY_CHANGE, may_grow=("*",))
    network = trained_detector(config, checkpoint)
    if Format(target) is not Format.BUNDLE:
        deployable = detector_deployable(network, input_spec(config.size))
        _say_files(write_format(deployable, Format(target), out, Precision(precision)))
        return
    # Where the run lay says nothing of how it was trained, and is nobody else's business.
    said = (override for override in overrides if not override.startswith("output="))
    changes = (part for override in said for part in ("--set", override))
    command = shlex.join(["picoseek-train", "detector", "--config", str(config_path), *changes])
    with _described_in(config_path):
        _say(export_trained(config, network, measure(config, network), command, out, Precision(precision)))


@export.command()
@config_option
@set_option
@checkpoint_option
@out_option
@format_option
@precision_option
@card_option
@click.option("--side", type=click.IntRange(min=32), help="Input size in pixels (default: that of the last phase).")
@click.option(
    "--whiten",
    type=click.Choice(_WHITENINGS),
    help="Give all directions in which the training pictures' features differ one variance, or those in which pictures "
    "of one class do.",
)
def embedder(
    config_path: Path,
    overrides: tuple[str, ...],
    checkpoint: Path | None,
    out: Path,
    target: str,
    precision: str,
    card: Path | None,
    side: int | None,
    whiten: str | None,
) -> None:
    """Write an embedder; what a bundle says of itself stands in the folder --card."""
    import cv2
    from picoseek_bundle import InputSpec

    from picoseek_training.cli.trained_embedder import trained_embedder
    from picoseek_training.embedder.config import EmbedderTrainingConfig
    from picoseek_training.embedder.export import embedder_inputs, export_bundle
    from picoseek_training.embedder.recipe import embedding_dimension, input_side, read_embedder_recipe
    from picoseek_training.embedder.student import Embedder
    from picoseek_training.export.formats import Deployable, Format, check_folder, write_format
    from picoseek_training.export.stored_weights import Precision

    cv2.setNumThreads(1)
    check_folder(out, Format(target))
    described = _bundle_card(card) if Format(target) is Format.BUNDLE else None
    recipe = read_embedder_recipe(config_path, overrides)
    network, size = trained_embedder(recipe, checkpoint), side or input_side(recipe)
    if whiten is not None:
        if not isinstance(recipe, EmbedderTrainingConfig) or not isinstance(network, Embedder):
            raise ValueError("--whiten: only an embedder that was taught by teachers' features can be whitened")
        _whiten(network, recipe, size, by_classes=whiten == "classes")
    spec = InputSpec(width=size, height=size)
    if described is None:
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        make = partial(trained_embedder, recipe, checkpoint)
        deployable = Deployable(make, state, embedder_inputs(spec), ("embedding",))
        _say_files(write_format(deployable, Format(target), out, Precision(precision)))
        return
    fields, text = described
    with _described_in(text.with_name(_CARD_MANIFEST)):
        _say(export_bundle(network, spec, embedding_dimension(recipe), text, out, Precision(precision), **fields))


@export.command()
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@out_option
@format_option
@precision_option
@card_option
@click.option("--side", type=click.IntRange(min=32), help="Input size in pixels (default: that of the imported file).")
def imported(checkpoint: Path, out: Path, target: str, precision: str, card: Path | None, side: int | None) -> None:
    """Write a checkpoint of `picoseek-train import`; of a classifier, what gives its features."""
    from picoseek_training.export.formats import Format, check_folder, write_format
    from picoseek_training.export.stored_weights import Precision
    from picoseek_training.network_checkpoint import load_network_checkpoint
    from picoseek_training.weight_import.deploying import export_imported, imported_model

    check_folder(out, Format(target))
    model = imported_model(load_network_checkpoint(checkpoint), side)
    if Format(target) is not Format.BUNDLE:
        _say_files(write_format(model.deployable, Format(target), out, Precision(precision)))
        return
    fields, text = _bundle_card(card)
    with _described_in(text.with_name(_CARD_MANIFEST)):
        _say(export_imported(model, text, out, Precision(precision), **fields))


@export.command("hash")
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
@click.option(
    "--head", type=click.Path(dir_okay=False, path_type=Path), help="Also write the head alone, an .npz file, here."
)
def hash_codes(
    config_path: Path, overrides: tuple[str, ...], checkpoint: Path | None, out: Path, card: Path, head: Path | None
) -> None:
    """Write the start with its learned codes; what the bundle says of itself stands in the folder --card."""
    import cv2
    from picoseek_bundle import check_bundle_folder

    from picoseek_training.configuration import read_configuration
    from picoseek_training.hash.config import HashTrainingConfig
    from picoseek_training.hash.export import export_codes, trained_head, trained_network
    from picoseek_training.hash.training import start_bundle

    cv2.setNumThreads(1)
    check_bundle_folder(out)
    fields, text = _card(card)
    config = read_configuration(HashTrainingConfig, config_path, overrides)
    network = trained_network(config, checkpoint)
    if head is not None:
        trained_head(config, checkpoint).save(head)
    with _described_in(text.with_name(_CARD_MANIFEST)):
        _say(export_codes(network, config.bits, start_bundle(config), text, out, **fields))


def _whiten(network: Embedder, recipe: EmbedderTrainingConfig, side: int, *, by_classes: bool) -> None:
    import numpy as np

    from picoseek_training.data.classes import number_classes
    from picoseek_training.data.retrieval_sets import training_examples
    from picoseek_training.embedder.config import STORED_SIDE
    from picoseek_training.embedder.training import training_views
    from picoseek_training.embedder.whitening import pooled_features, whiten, whiten_within_classes
    from picoseek_training.evaluation.embedding import embed_examples

    if not by_classes:
        whiten(network, pooled_features(network, training_views(recipe, _WHITENING_VIEWS, side)))
        return
    examples = training_examples(recipe.data, recipe.sets)
    _, sets = np.unique([example.domain for example in examples], return_inverse=True)
    embeddings = embed_examples(network, examples, side, recipe.cache, STORED_SIDE)
    whiten_within_classes(network, embeddings, number_classes(examples).classes, sets)


def _bundle_card(folder: Path | None) -> tuple[dict[str, Any], Path]:
    if folder is None:
        raise click.UsageError("a bundle says what it is: give --card, a folder with MODEL_CARD.md and manifest.yaml")
    return _card(folder)


def _card(folder: Path) -> tuple[dict[str, Any], Path]:
    manifest, text = folder / _CARD_MANIFEST, folder / "MODEL_CARD.md"
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
    unknown = [str(name) for name in fields if name not in _CARD_FIELDS]
    if unknown:
        raise ValueError(f"{manifest}: {unknown[0]} is no field of a card; it has {', '.join(_CARD_FIELDS)}")
    return fields, text


@contextmanager
def _described_in(file: Path) -> Iterator[None]:
    """Name the file that describes a bundle in errors of its manifest."""
    from picoseek_bundle import ManifestError

    try:
        yield
    except ManifestError as error:
        raise ManifestError(f"{file}: {error}") from error


def _say_files(files: list[Path]) -> None:
    for file in files:
        click.echo(file)


def _say(bundle: Any) -> None:
    click.echo(f"{bundle.folder}: {bundle.manifest.name} {bundle.manifest.version}")
    click.echo(f"`picoseek serve --bundle {bundle.folder}` serves it", err=True)
