"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import paddle
from paddle.static import InputSpec as TensorSpec
from picoseek_bundle.bundle import Bundle, write_bundle
from picoseek_bundle.manifest import DetectorOutput, InputSpec, Interpolation

import picoseek_training
from picoseek_training.networks.picodet.detector import PicoDet

PROGRAM, WEIGHTS, MODEL_CARD = "detector.json", "detector.pdiparams", "MODEL_CARD.md"


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
