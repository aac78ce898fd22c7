"""LC-PAN, the light neck of the 2022 PicoDet models: two separable blocks wherever CSP-PAN has a CSP layer."""

from __future__ import annotations

from collections.abc import Sequence

from paddle import nn

from picoseek_training.networks.picodet.path_aggregation import PathAggregation
from picoseek_training.networks.pp_lcnet import BlockSpec, DepthwiseSeparable


def separable_pair(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two depthwise-separable 5x5 blocks; the second one changes the width."""
    widths = ((in_channels, in_channels), (in_channels, out_channels))
    return nn.Sequential(
        *(
            DepthwiseSeparable(BlockSpec(5, source, target), scale=1.0, activation="hardswish")
            for source, target in widths
        )
    )


class LcPan(PathAggregation):
    """Path aggregation whose levels are fused by pairs of separable blocks."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__(in_channels, out_channels, fuse=separable_pair)
