"""Configurations of the published recognition models, and what builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from paddle import nn

from picoseek_training.networks.pp_lcnet import PPLCNET_CONFIGS, PPLCNet, PPLCNetConfig
from picoseek_training.networks.pp_lcnetv2 import PPLCNETV2_CONFIGS, Branches, PPLCNetV2, PPLCNetV2Config
from picoseek_training.networks.recognition.heads import ArcMarginHead, FCHead
from picoseek_training.networks.recognition.model import RecModel
from picoseek_training.networks.recognition.necks import BNNeck, FCNeck


@dataclass(frozen=True)
class RecModelConfig:
    """Everything that shapes a recognition model."""

    backbone: PPLCNetConfig | PPLCNetV2Config
    """Network that ends at its flattened features."""
    neck: Literal["fc", "bn"]
    """Linear projection, or BatchNorm of as many features as the backbone is then built with."""
    head: Callable[[int, int], nn.Layer]
    """Makes the head from the dimension of the features and the number of classes."""
    dimension: int = 512
    """Components of the embedding."""
    num_classes: int | None = None
    """Classes of the training set; None builds no head, which is what inference needs."""
    branches: Branches = "all"
    """Depthwise branches of a PP-LCNetV2 backbone; `largest` fits weights whose branches were fused."""
    dropout: float | None = None
    """Probability of the backbone's dropout, whose evaluation multiplies by 1 - dropout; None: as its configuration."""


REC_MODEL_CONFIGS: dict[str, RecModelConfig] = {
    "general_recognition_v1": RecModelConfig(
        backbone=replace(PPLCNET_CONFIGS["pplcnet_x2_5"], num_classes=None),
        neck="fc",
        head=partial(ArcMarginHead, margin=0.2, scale=30.0),
    ),
    "general_recognition_v2": RecModelConfig(
        backbone=PPLCNETV2_CONFIGS["pplcnetv2_base_shitu"],
        neck="bn",
        head=FCHead,
    ),
}
"""The feature models of PP-ShiTu V1 and V2; they were published with 185,341 and 192,612 classes."""


def build_rec_model(config: RecModelConfig) -> RecModel:
    """Build a recognition model with fresh weights.

    Raises:
        ValueError: The backbone has a classifier: it would give logits instead of features.
    """
    if config.backbone.num_classes is not None:
        raise ValueError("the backbone of a recognition model ends at its features: give it num_classes=None")
    backbone = _backbone(config)
    neck = BNNeck(config.dimension) if config.neck == "bn" else FCNeck(backbone.out_channels, config.dimension)
    head = None if config.num_classes is None else config.head(config.dimension, config.num_classes)
    return RecModel(backbone, neck, head)


def _backbone(config: RecModelConfig) -> PPLCNet | PPLCNetV2:
    settings = config.backbone
    if config.dropout is not None:
        settings = replace(settings, dropout=config.dropout)
    if config.neck == "bn":
        settings = replace(settings, class_expand=config.dimension)
    if isinstance(settings, PPLCNetV2Config) and config.branches != "all":
        settings = replace(settings, branches=config.branches)
    return PPLCNetV2(settings) if isinstance(settings, PPLCNetV2Config) else PPLCNet(settings)
