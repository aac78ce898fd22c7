"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import paddle
from paddle.static import InputSpec as TensorSpec
from picoseek_bundle.bundle import Bundle, write_bundle
from picoseek_bundle.manifest import Accuracy, DetectorOutput, InputSpec, Interpolation

import picoseek_training
from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.evaluation.coco_ap import DetectionMetrics
from picoseek_training.networks.picodet.detector import PicoDet

PROGRAM, WEIGHTS, MODEL_CARD = "detector.json", "detector.pdiparams", "MODEL_CARD.md"
NETWORK = "PicoDet: PP-LCNet x0.35, LC-PAN 96, PicoHeadV2"


def input_spec(size: int) -> InputSpec:
    """PicoDet's preprocessing: stretched bicubically to a square of `size` pixels, ImageNet normalisation."""
    return InputSpec(width=size, height=size, interpolation=Interpolation.BICUBIC)


def export_inference(detector: PicoDet, size: int, folder: Path) -> tuple[Path, Path]:
    """Write Paddle inference files with suppression inside the graph and a dynamic batch.

    Inputs: `image` [N, 3, size, size], `scale_factor` [N, 2]. Outputs: rows [M, 6], counts [N].

    Returns:
        The program and the weights file, in `folder`.
    """
    detector.eval()
    # The forward passes have no control flow on tensors: tracing suffices, and Paddle's rewriting of source code
    # does not understand zip(strict=True).
    paddle.jit.ignore_module([picoseek_training])
    program = paddle.jit.to_static(
        detector,
        input_spec=[
            TensorSpec([None, 3, size, size], "float32", "image"),
            TensorSpec([None, 2], "float32", "scale_factor"),
        ],
        full_graph=True,
    )
    paddle.jit.save(program, str(folder / Path(PROGRAM).stem))
    return folder / PROGRAM, folder / WEIGHTS


def export_bundle(detector: PicoDet, size: int, model_card: Path, target: Path, **fields: Any) -> Bundle:
    """Write the detector as a bundle.

    Args:
        detector: Trained network.
        size: Side of its square input in pixels.
        model_card: Markdown file to ship with it.
        target: Folder of the bundle; replaced when it exists.
        fields: The remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: The manifest would not be valid.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = export_inference(detector, size, Path(scratch))
        return write_bundle(
            target,
            {PROGRAM: program, WEIGHTS: weights, MODEL_CARD: model_card},
            task="detection",
            program=PROGRAM,
            weights=WEIGHTS,
            input=input_spec(size),
            scale_factor_input="scale_factor",
            output=DetectorOutput(),
            **fields,
        )


def export_trained(
    config: DetectorTrainingConfig,
    detector: PicoDet,
    measured: Mapping[str, DetectionMetrics],
    recipe: str,
    target: Path,
) -> Bundle:
    """Write the bundle that a recipe describes, with its measured figures in manifest and model card.

    Args:
        config: The recipe; `{measurements}` in its model card is replaced by a table.
        detector: Trained network.
        measured: Figures by the name of the set.
        recipe: The command that trained it.
        target: Folder of the bundle; replaced when it exists.

    Raises:
        BundleError: The manifest would not be valid.
        FileNotFoundError: The model card is missing.
    """
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
            config.size,
            card,
            target,
            name=config.bundle.name,
            version=config.bundle.version,
            network=NETWORK,
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
