"""Building the bundle: of the weights alone, or adapted to labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from picoseek_bundle import Bundle, Preprocessor

from picoseek_training.data.labelled_files import read_labelled_files
from picoseek_training.embedder.export import MODEL_CARD, export_bundle, export_inference
from picoseek_training.embedder.exported import ExportedEmbedder
from picoseek_training.general_bundle.adaptation import DIMENSION, adapt
from picoseek_training.general_bundle.holdout import check_classes
from picoseek_training.general_bundle.manifest import ADAPTED_CARD, CARD, INPUT, adapted_fields, plain_fields
from picoseek_training.general_bundle.network import AdaptedEmbedder, PlainEmbedder
from picoseek_training.general_bundle.picture_features import picture_features
from picoseek_training.general_bundle.target_folder import work_folder
from picoseek_training.general_bundle.weights import load_backbone
from picoseek_training.networks.efficientnet_lite import FEATURES
from picoseek_training.progress import Progress


def build_plain(out: Path) -> Bundle:
    """Write the bundle of the pooled features as they are.

    Raises:
        BuildError: the weights are missing, or `out` cannot be written.
    """
    with work_folder(out):
        return export_bundle(PlainEmbedder(load_backbone()), INPUT, FEATURES, CARD, out, **plain_fields())


def build_adapted(out: Path, labels: Path, say: Callable[[str], None]) -> Bundle:
    """Write the bundle of a space that is learned from labels; an interrupted build goes on where it was.

    Args:
        out: folder of the bundle.
        labels: a folder a class, or a CSV file `path,label`.
        say: told what a user should know.

    Raises:
        BuildError: the weights are missing, or `out` cannot be written.
        LabelsError: the labels cannot be used.
    """
    examples = read_labelled_files(labels)
    check_classes(examples)
    with work_folder(out) as folder:
        backbone = load_backbone()
        network = ExportedEmbedder(*export_inference(PlainEmbedder(backbone), INPUT, folder))
        pictures = picture_features(
            network, Preprocessor(INPUT), examples, folder / "features", Progress("looking at pictures:")
        )
        for example, reason in pictures.broken:
            say(f"left out {example.path}: {reason}")
        check_classes(pictures.examples, [example for example, _ in pictures.broken])
        result = adapt(pictures, Progress("learning the space:"))
        say(
            f"Recall@1 of {result.held_out} held-out pictures, before and after: "
            f"{result.before.all_references:.3f} and {result.after.all_references:.3f} among {result.learned} others, "
            f"{result.before.one_reference:.3f} and {result.after.one_reference:.3f} among one a class"
        )
        if result.after.all_references < result.before.all_references:
            say("these labels do not help; the bundle that is built without --labels is the better one")
        source = labels.resolve().name
        card = folder / MODEL_CARD
        card.write_text(ADAPTED_CARD.read_text(encoding="utf-8").format(source=source, **vars(result)), "utf-8")
        fields = adapted_fields(source, result)
        return export_bundle(AdaptedEmbedder(backbone, result.space), INPUT, DIMENSION, card, out, **fields)
