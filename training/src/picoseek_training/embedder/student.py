"""The embedder that is trained: PP-LCNetV2 in its ShiTu variant, a BNNeck, and class directions for training only."""

from __future__ import annotations

from paddle import Tensor, nn

from picoseek_training.embedder.config import StudentConfig
from picoseek_training.networks.pp_lcnetv2 import PPLCNetV2, PPLCNetV2Config
from picoseek_training.networks.recognition import BNNeck


class Embedder(nn.Layer):
    """Pictures [N, 3, S, S], normalised, to embeddings [N, dimension], not normalised."""

    def __init__(self, config: StudentConfig) -> None:
        """Make a network of only the largest depthwise branch each, which is what it is after fusion anyway."""
        super().__init__()
        self.backbone = PPLCNetV2(
            PPLCNetV2Config(
                scale=config.scale,
                class_expand=config.dimension,
                num_classes=None,
                dropout=0.0,
                last_stage_stride=config.last_stage_stride,
                last_conv_bias=True,
                last_activation=False,
                branches="largest",
            )
        )
        self.neck = BNNeck(config.dimension)

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings."""
        features: Tensor = self.neck(self.backbone(image))
        return features
