"""From trained weights to the inference files and the bundle that a service loads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import paddle
from paddle import nn
from paddle.static import InputSpec as TensorSpec
from picoseek_bundle import Bundle, InputSpec, write_bundle

import picoseek_training
from picoseek_training.networks.reparameterisation import re_parameterize

PROGRAM, WEIGHTS, MODEL_CARD = "embedder.json", "embedder.pdiparams", "MODEL_CARD.md"


def export_inference(embedder: nn.Layer, input_spec: InputSpec, folder: Path) -> tuple[Path, Path]:
    """Write Paddle inference files with a dynamic batch: `image` [N, 3, height, width] to [N, dimension].

    Parallel branches of the network are fused first, in place.

    Returns:
        The program and the weights file, in `folder`.
    """
    embedder.eval()
    re_parameterize(embedder)
    # Tracing suffices: the forward pass has no control flow on tensors.
    paddle.jit.ignore_module([picoseek_training])
    image = TensorSpec([None, 3, input_spec.height, input_spec.width], "float32", "image")
    program = paddle.jit.to_static(embedder, input_spec=[image], full_graph=True)
    paddle.jit.save(program, str(folder / Path(PROGRAM).stem))
    return folder / PROGRAM, folder / WEIGHTS


def export_bundle(
    embedder: nn.Layer, input_spec: InputSpec, dimension: int, model_card: Path, target: Path, **fields: Any
) -> Bundle:
    """Write an embedder as a bundle.

    Args:
        embedder: trained network, pictures [N, 3, height, width] to embeddings [N, dimension]; its parallel branches
            are fused in place.
        input_spec: how it wants its pictures.
        dimension: components of the embedding.
        model_card: Markdown file to ship with it.
        target: folder of the bundle; replaced when it exists.
        fields: the remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: the manifest would not be valid.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = export_inference(embedder, input_spec, Path(scratch))
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
