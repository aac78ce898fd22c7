"""PicoHead, the legacy head: one convolution a level predicts class logits and distances together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, Normal

from picoseek_training.networks.picodet.path_aggregation import LEVELS
from picoseek_training.networks.picodet.tower import HeadMaps, PicoHeadBase

PRIOR_BIAS = -math.log((1 - 0.01) / 0.01)
"""Bias at which a class starts with probability .01 (RetinaNet)."""


class PicoHead(PicoHeadBase):
    """Maps [N, channels, h, w] of four levels to class logits and distance distributions."""

    classes_are_logits = True

    def __init__(self, channels: int, pairs: int, num_classes: int, reg_max: int = 7) -> None:
        super().__init__(channels, pairs, num_classes, reg_max, gated=False)
        outputs = num_classes + 4 * (reg_max + 1)
        for level in range(LEVELS):
            predictor = nn.Conv2D(
                channels,
                outputs,
                1,
                weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
                bias_attr=ParamAttr(initializer=Constant(PRIOR_BIAS)),
            )
            self.add_sublayer(f"head_cls{level}", predictor)

    def forward(self, features: Sequence[Tensor]) -> HeadMaps:
        """Predict on every level of the pyramid."""
        maps = HeadMaps([], [])
        for level, feature in enumerate(features):
            predictor = getattr(self, f"head_cls{level}")
            prediction = predictor(self.conv_feat(feature, level))
            classes, distributions = paddle.split(prediction, [self.num_classes, 4 * (self.reg_max + 1)], axis=1)
            maps.classes.append(classes)
            maps.distributions.append(distributions)
        return maps
