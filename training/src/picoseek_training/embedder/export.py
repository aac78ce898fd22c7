"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import paddle
from paddle.static import InputSpec as TensorSpec
from picoseek_bundle import Bundle, InputSpec, write_bundle

import picoseek_training
from picoseek_training.embedder.student import Embedder

PROGRAM, WEIGHTS, MODEL_CARD = "embedder.json", "embedder.pdiparams", "MODEL_CARD.md"


def export_inference(embedder: Embedder, side: int, folder: Path) -> tuple[Path, Path]:
    """Write Paddle inference files with a dynamic batch: `image` [N, 3, side, side] to [N, dimension].

    Returns:
        The program and the weights file, in `folder`.
    """
    embedder.eval()
    # Tracing suffices: the forward pass has no control flow on tensors.
    paddle.jit.ignore_module([picoseek_training])
    program = paddle.jit.to_static(
        embedder, input_spec=[TensorSpec([None, 3, side, side], "float32", "image")], full_graph=True
    )
    paddle.jit.save(program, str(folder / Path(PROGRAM).stem))
    return folder / PROGRAM, folder / WEIGHTS


def export_bundle(
    embedder: Embedder, side: int, dimension: int, model_card: Path, target: Path, **fields: Any
) -> Bundle:
    """Write the embedder as a bundle.

    Args:
        embedder: trained network.
        side: side of its square input in pixels.
        dimension: components of the embedding.
        model_card: Markdown file to ship with it.
        target: folder of the bundle; replaced when it exists.
        fields: the remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: the manifest would not be valid.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = export_inference(embedder, side, Path(scratch))
        return write_bundle(
            target,
            {PROGRAM: program, WEIGHTS: weights, MODEL_CARD: model_card},
            task="embedding",
            program=PROGRAM,
            weights=WEIGHTS,
            input=InputSpec(width=side, height=side),
            output={"kind": "embedding", "dimension": dimension},
            **fields,
        )
