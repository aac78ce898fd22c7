"""The embedder that is trained: PP-LCNetV2 in its ShiTu variant, a BNNeck, and class directions for training only."""

from __future__ import annotations

from dataclasses import replace

from paddle import Tensor, nn

from picoseek_training.embedder.config import StudentConfig
from picoseek_training.networks.pp_lcnetv2 import PPLCNETV2_CONFIGS, PPLCNetV2
from picoseek_training.networks.recognition import BNNeck, CosineHead, RecModel


class Embedder(nn.Layer):
    """Pictures [N, 3, S, S], normalised, to embeddings [N, dimension], not normalised."""

    def __init__(self, config: StudentConfig) -> None:
        """Make a network of only the largest depthwise branch each, which is what it is after fusion anyway."""
        super().__init__()
        self.backbone = PPLCNetV2(
            replace(
                PPLCNETV2_CONFIGS["pplcnetv2_base_shitu"],
                scale=config.scale,
                class_expand=config.dimension,
                last_stage_stride=config.last_stage_stride,
                dropout=0.0,
                branches="largest",
            )
        )
        self.neck = BNNeck(config.dimension)

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings."""
        features: Tensor = self.neck(self.backbone(image))
        return features


class ClassDirections(CosineHead):
    """Logits [N, classes] of embeddings [N, dimension]: their cosines to the classes' directions times a factor."""

    def __init__(self, dimension: int, num_classes: int, factor: float) -> None:
        super().__init__(dimension, num_classes)
        self.factor = factor

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the logits; labels are ignored."""
        return super().forward(features) * self.factor


def recognition_model(embedder: Embedder, head: ClassDirections | None) -> RecModel:
    """Return a model that shares the embedder's layers, and those of the head."""
    return RecModel(embedder.backbone, embedder.neck, head)
