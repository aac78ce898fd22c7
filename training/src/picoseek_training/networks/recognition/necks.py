"""Necks: from the backbone's features to the embedding."""

from __future__ import annotations

from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, XavierNormal


class BNNeck(nn.Layer):
    """BatchNorm over features (N, dimension) with a frozen zero shift (Luo et al. 2019): the embedding of ShiTu V2."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        # The published recipe keeps the shift as a stored parameter that training does not move.
        self.feat_bn = nn.BatchNorm1D(
            dimension,
            weight_attr=ParamAttr(initializer=Constant(1.0)),
            bias_attr=ParamAttr(initializer=Constant(0.0), learning_rate=1e-20),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.feat_bn(x)


class FCNeck(nn.Layer):
    """Linear projection of the backbone's features: the embedding of ShiTu V1."""

    def __init__(self, in_channels: int, dimension: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, dimension, weight_attr=ParamAttr(initializer=XavierNormal()))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)
