"""The codes that ship: a learned head, kept here, and the default embedder, with which it becomes a bundle."""

from __future__ import annotations

from pathlib import Path

import yaml
from picoseek_bundle import Bundle, Task, default_bundle, load_bundle

from picoseek_training.embedder.export import MODEL_CARD
from picoseek_training.hash.export import export_codes, with_head
from picoseek_training.hash.head import HeadWeights

FOLDER = Path(__file__).with_name("default")
"""head.npz, MODEL_CARD.md, and manifest.yaml with the fields that describe the bundle."""


def build_shipped(target: Path) -> Bundle:
    """Write the bundle of the default embedder's hash codes.

    Raises:
        BundleError: `target` holds something else than a bundle.
        ValueError: the default embedder is another than the head was learned for.
    """
    start, weights = load_bundle(default_bundle(Task.EMBEDDING)), HeadWeights.load(FOLDER / "head.npz")
    fields = yaml.safe_load((FOLDER / "manifest.yaml").read_text(encoding="utf-8"))
    network, bits = with_head(start, weights), weights.weight.shape[1]
    return export_codes(network, bits, start, FOLDER / MODEL_CARD, target, **fields)
