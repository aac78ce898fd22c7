"""The networks that are exported."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.embedder.targets import Matrix, TeacherSpace
from picoseek_training.networks.efficientnet_lite import EfficientNetLite


class PlainEmbedder(nn.Layer):
    """Pictures [N, 3, 224, 224] to the pooled features [N, 1280]."""

    def __init__(self, backbone: EfficientNetLite) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings, not normalised."""
        return self.backbone.features(image)


class AdaptedEmbedder(nn.Layer):
    """Pictures [N, 3, 224, 224] to embeddings [N, dimension] in a space that was learned from labels."""

    def __init__(self, backbone: EfficientNetLite, space: TeacherSpace) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = _linear(space.neck.weight, space.neck.bias)
        self.raw = _linear(space.raw, -space.mean @ space.raw)
        self.projection = _linear(space.projection, None)
        self.raw_weight = space.raw_weight

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings, not normalised; the same as `TeacherSpace` on the pooled features."""
        features = self.backbone.features(image)
        named, unnamed = F.normalize(self.neck(features)), F.normalize(self.raw(features))
        return self.projection(paddle.concat([named, unnamed * self.raw_weight], axis=1))


def _linear(weight: Matrix, bias: Matrix | None) -> nn.Linear:
    inputs, outputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias_attr=None if bias is not None else False)
    layer.weight.set_value(weight.astype(np.float32))
    if layer.bias is not None and bias is not None:
        layer.bias.set_value(bias.astype(np.float32))
    return layer
