"""PicoHeadV2: gated tower, separate class and distance convolutions, class probability aligned with location."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant, Normal

from picoseek_training.networks.picodet.layers import DepthwisePointwise
from picoseek_training.networks.picodet.path_aggregation import LEVELS
from picoseek_training.networks.picodet.pico_head import PRIOR_BIAS
from picoseek_training.networks.picodet.tower import HeadMaps, PicoHeadBase

ALIGNMENT_EPSILON = 1e-9
"""Keeps the gradient of the square root finite."""


class PicoHeadV2(PicoHeadBase):
    """Maps [N, channels, h, w] of four levels to class probabilities and distance distributions.

    probability = sqrt(sigmoid(class logit) * sigmoid(alignment)), after TOOD's task alignment.
    """

    classes_are_logits = False

    def __init__(self, channels: int, pairs: int, num_classes: int, reg_max: int = 7) -> None:
        super().__init__(channels, pairs, num_classes, reg_max, gated=True)
        self.head_cls_list = nn.LayerList([self._predictor(channels, num_classes, PRIOR_BIAS) for _ in range(LEVELS)])
        self.head_reg_list = nn.LayerList([self._predictor(channels, 4 * (reg_max + 1), 0.0) for _ in range(LEVELS)])
        self.cls_align = nn.LayerList([DepthwisePointwise(channels, 1, activate_output=False) for _ in range(LEVELS)])
        # Official files name these convolutions twice.
        for level in range(LEVELS):
            self.add_sublayer(f"head_cls{level}", self.head_cls_list[level])
            self.add_sublayer(f"head_reg{level}", self.head_reg_list[level])

    @staticmethod
    def _predictor(channels: int, outputs: int, bias: float) -> nn.Conv2D:
        return nn.Conv2D(
            channels,
            outputs,
            1,
            weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
            bias_attr=ParamAttr(initializer=Constant(bias)),
        )

    def forward(self, features: Sequence[Tensor]) -> HeadMaps:
        """Predict on every level of the pyramid."""
        maps = HeadMaps([], [])
        for level, feature in enumerate(features):
            shared = self.conv_feat(feature, level)
            gated = self.conv_feat.gate(shared, level)
            class_logits = self.head_cls_list[level](gated)
            maps.distributions.append(self.head_reg_list[level](gated))
            alignment = F.sigmoid(self.cls_align[level](shared))
            maps.classes.append(paddle.sqrt(F.sigmoid(class_logits) * alignment + ALIGNMENT_EPSILON))
        return maps
