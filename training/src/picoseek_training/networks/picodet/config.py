"""Configurations of the published PicoDet models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from picoseek_training.networks.picodet.nms import DEFAULT_NMS, NmsConfig


@dataclass(frozen=True)
class PicoDetConfig:
    """Everything that shapes a PicoDet network."""

    backbone_scale: float
    """Width multiplier of the PP-LCNet backbone."""
    neck: Literal["lc_pan", "csp_pan"]
    """Feature pyramid."""
    head: Literal["v2", "legacy"]
    """PicoHeadV2 (2022 models) or PicoHead."""
    channels: int
    """Width of neck and head."""
    tower_pairs: int
    """Depthwise and pointwise pairs of the head tower."""
    num_classes: int = 80
    """Foreground classes."""
    reg_max: int = 7
    """Largest bin of the distance distributions, in strides."""
    strides: tuple[int, ...] = (8, 16, 32, 64)
    """Pixels between cells of each pyramid level."""
    nms: NmsConfig = DEFAULT_NMS
    """Thresholds of the suppression that ends the network."""
    further_sizes: tuple[int, ...] = ()
    """Sides of smaller squares, in pixels, in which the network looks at its input again before the suppression."""


PICODET_CONFIGS: dict[str, PicoDetConfig] = {
    "picodet_xs": PicoDetConfig(0.35, "lc_pan", "v2", channels=96, tower_pairs=2),
    "picodet_s": PicoDetConfig(0.75, "lc_pan", "v2", channels=96, tower_pairs=2),
    "picodet_m": PicoDetConfig(1.5, "lc_pan", "v2", channels=128, tower_pairs=4),
    "picodet_l": PicoDetConfig(2.0, "lc_pan", "v2", channels=160, tower_pairs=4),
    "picodet_lcnet_x1_0": PicoDetConfig(1.0, "csp_pan", "legacy", channels=128, tower_pairs=4),
    "picodet_mainbody": PicoDetConfig(2.5, "csp_pan", "legacy", channels=128, tower_pairs=4, num_classes=1),
}
"""XS, S, M and L of 2022, the legacy model whose backbone is PP-LCNet x1.0, and the main-body detector of PP-ShiTu."""
