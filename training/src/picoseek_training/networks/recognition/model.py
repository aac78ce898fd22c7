"""The complete recognition model."""

from __future__ import annotations

from dataclasses import dataclass

from paddle import Tensor, nn


@dataclass(frozen=True)
class RecognitionOutput:
    """Everything that losses look at; N pictures."""

    backbone: Tensor
    """Flattened output of the backbone (N, backbone channels)."""
    features: Tensor
    """The embedding, not normalised (N, dimension)."""
    logits: Tensor | None
    """Output of the head (N, classes); None without a head."""


class RecModel(nn.Layer):
    """Backbone, neck and head; only the features leave the model at inference.

    Input pictures (N, 3, H, W); a margin head also takes labels (N,) or (N, 1) while training.
    """

    def __init__(self, backbone: nn.Layer, neck: nn.Layer, head: nn.Layer | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, x: Tensor, label: Tensor | None = None) -> RecognitionOutput:
        backbone = self.backbone(x)
        features = self.neck(backbone)
        logits = None if self.head is None else self.head(features, label)
        return RecognitionOutput(backbone, features, logits)
