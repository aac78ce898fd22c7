"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from paddle import nn
from picoseek_bundle import Bundle, InputSpec, write_bundle

from picoseek_training.export.program import PROGRAM, WEIGHTS, NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision

MODEL_CARD = "MODEL_CARD.md"


def embedder_inputs(input_spec: InputSpec) -> tuple[NetworkInput, ...]:
    """Return what an embedder takes: `image` [N, 3, height, width] with a dynamic batch."""
    return (NetworkInput("image", (None, 3, input_spec.height, input_spec.width)),)


def export_inference(
    embedder: nn.Layer, input_spec: InputSpec, folder: Path, precision: Precision = Precision.FLOAT32
) -> tuple[Path, Path]:
    """Write Paddle inference files with a dynamic batch: `image` [N, 3, height, width] to [N, dimension].

    Parallel branches of the network are fused first, in place.

    Returns:
        The program and the weights file, in `folder`.
    """
    return write_program(embedder, embedder_inputs(input_spec), folder, precision)


def export_bundle(
    embedder: nn.Layer,
    input_spec: InputSpec,
    dimension: int,
    model_card: Path,
    target: Path,
    precision: Precision = Precision.FLOAT32,
    **fields: Any,
) -> Bundle:
    """Write an embedder as a bundle.

    Args:
        embedder: trained network, pictures [N, 3, height, width] to embeddings [N, dimension]; its parallel branches
            are fused in place.
        input_spec: how it wants its pictures.
        dimension: components of the embedding.
        model_card: Markdown file to ship with it.
        target: folder of the bundle; replaced when it exists.
        precision: how its weights are stored.
        fields: the remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: the manifest would not be valid.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = export_inference(embedder, input_spec, Path(scratch), precision)
        return write_bundle(
            target,
            {PROGRAM: program, WEIGHTS: weights, MODEL_CARD: model_card},
            task="embedding",
            program=PROGRAM,
            weights=WEIGHTS,
            input=input_spec,
            output={"kind": "embedding", "dimension": dimension},
            **fields,
        )
