"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from picoseek_bundle.bundle import Bundle, write_bundle
from picoseek_bundle.manifest import Accuracy, DetectorOutput, InputSpec, Interpolation

from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.evaluation.coco_ap import DetectionMetrics
from picoseek_training.export.formats import Deployable
from picoseek_training.export.program import PROGRAM, WEIGHTS, NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision
from picoseek_training.networks.picodet.config import PicoDetConfig
from picoseek_training.networks.picodet.detector import PicoDet

MODEL_CARD = "MODEL_CARD.md"
EXPORT_MAY_CHANGE = ("size", "further_sizes*", "compile_depthwise")
"""Keys of a recipe that may be others when its detector is exported than when it was trained."""
_NECKS = {"lc_pan": "LC-PAN", "csp_pan": "CSP-PAN"}
_HEADS = {"v2": "PicoHeadV2", "legacy": "PicoHead"}


def network_description(config: PicoDetConfig) -> str:
    """Return the architecture in words."""
    parts = (
        f"PP-LCNet x{config.backbone_scale:g}",
        f"{_NECKS[config.neck]} {config.channels}",
        _HEADS[config.head],
    )
    return f"PicoDet: {', '.join(parts)}"


def input_spec(size: int) -> InputSpec:
    """PicoDet's preprocessing: stretched bicubically to a square of `size` pixels, ImageNet normalisation."""
    return InputSpec(width=size, height=size, interpolation=Interpolation.BICUBIC)


def detector_inputs(spec: InputSpec) -> tuple[NetworkInput, ...]:
    """Return what a detector takes: `image` [N, 3, height, width] and `scale_factor` [N, 2], with a dynamic batch."""
    return NetworkInput("image", (None, 3, spec.height, spec.width)), NetworkInput("scale_factor", (None, 2))


def detector_deployable(detector: PicoDet, spec: InputSpec) -> Deployable:
    """Return a trained detector as what can be written in any format."""
    state = {name: value.numpy() for name, value in detector.state_dict().items()}
    return Deployable(partial(PicoDet, detector.config), state, detector_inputs(spec), ("boxes", "counts"))


def export_bundle(
    detector: PicoDet,
    spec: InputSpec,
    model_card: Path,
    target: Path,
    precision: Precision = Precision.FLOAT32,
    labels: Sequence[str] = ("foreground",),
    **fields: Any,
) -> Bundle:
    """Write the detector as a bundle, with suppression inside the graph.

    Args:
        detector: Trained network.
        spec: How it wants its pictures.
        model_card: Markdown file to ship with it.
        target: Folder of the bundle; replaced when it exists.
        precision: How its weights are stored.
        labels: Names of its classes in their order.
        fields: The remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: The manifest would not be valid.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = write_program(detector, detector_inputs(spec), Path(scratch), precision)
        return write_bundle(
            target,
            {PROGRAM: program, WEIGHTS: weights, MODEL_CARD: model_card},
            task="detection",
            program=PROGRAM,
            weights=WEIGHTS,
            input=spec,
            scale_factor_input="scale_factor",
            output=DetectorOutput(labels=tuple(labels)),
            **{"network": network_description(detector.config), **fields},
        )


def export_trained(
    config: DetectorTrainingConfig,
    detector: PicoDet,
    measured: Mapping[str, DetectionMetrics],
    recipe: str,
    target: Path,
    precision: Precision = Precision.FLOAT32,
) -> Bundle:
    """Write the bundle that a recipe describes, with its measured figures in manifest and model card.

    Args:
        config: The recipe; `{measurements}` in its model card is replaced by a table.
        detector: Trained network.
        measured: Figures by the name of the set.
        recipe: The command that trained it.
        target: Folder of the bundle; replaced when it exists.
        precision: How its weights are stored.

    Raises:
        BundleError: The manifest would not be valid.
        FileNotFoundError: The model card is missing; the message names its key.
    """
    if not config.bundle.model_card.is_file():
        raise FileNotFoundError(f"bundle.model_card: {config.bundle.model_card} does not exist")
    text = config.bundle.model_card.read_text(encoding="utf-8")
    accuracy = tuple(
        Accuracy(data=data, metric=name, value=round(value, 4))
        for data, metrics in measured.items()
        for name, value in asdict(metrics).items()
    )
    with tempfile.TemporaryDirectory() as scratch:
        card = Path(scratch) / MODEL_CARD
        card.write_text(text.replace("{measurements}", _table(measured)), encoding="utf-8")
        return export_bundle(
            detector,
            input_spec(config.size),
            card,
            target,
            precision,
            name=config.bundle.name,
            version=config.bundle.version,
            license=config.bundle.license,
            description=config.bundle.description,
            trained_on=config.bundle.trained_on,
            recipe=recipe,
            accuracy=accuracy,
        )


def _table(measured: Mapping[str, DetectionMetrics]) -> str:
    lines = ["| set | AP | AP50 | AR | best box hits (IoU > .5) |", "|---|---|---|---|---|"]
    lines += [
        f"| {data} | {metrics.ap:.3f} | {metrics.ap50:.3f} | {metrics.ar:.3f} | {metrics.best_box_iou50:.3f} |"
        for data, metrics in measured.items()
    ]
    return "\n".join(lines)
