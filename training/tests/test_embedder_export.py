"""The exported files of an embedder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from picoseek_bundle import InputSpec, load_bundle
from picoseek_training.embedder.export import export_bundle
from picoseek_training.embedder.exported import ExportedEmbedder
from picoseek_training.networks.pp_lcnetv2 import RepDepthwiseSeparable
from picoseek_training.networks.registry import create

SIDE, DIMENSION = 64, 1280


def test_branches_are_fused_and_answers_stay_at_every_batch_size(tmp_path: Path) -> None:
    paddle.seed(0)
    network = create("pplcnetv2_small", scale=0.25, num_classes=None)
    pictures = np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE)).astype(np.float32)
    network.eval()
    with paddle.no_grad():
        expected = network(paddle.to_tensor(pictures)).numpy()
    card = tmp_path / "card.md"
    card.write_text("# Tiny\n")
    spec = InputSpec(width=SIDE, height=SIDE)
    fields = {"name": "tiny", "version": "1", "network": "PP-LCNetV2", "license": "Apache-2.0"}
    bundle = export_bundle(network, spec, DIMENSION, card, tmp_path / "bundle", **fields)

    blocks = [layer for layer in network.sublayers() if isinstance(layer, RepDepthwiseSeparable) and layer.is_rep]
    assert blocks and all(block.is_repped for block in blocks)
    assert load_bundle(bundle.folder).manifest.output.dimension == DIMENSION
    exported = ExportedEmbedder(bundle.program, bundle.weights)
    for count in (1, 3):
        np.testing.assert_allclose(exported(pictures[:count]), expected[:count], atol=1e-4 * np.abs(expected).max())
