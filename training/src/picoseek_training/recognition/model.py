"""The recognition model that a recipe describes, and the embedder inside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

from paddle import Tensor, nn

from picoseek_training.networks import registry
from picoseek_training.networks.pp_lcnet import PPLCNetConfig
from picoseek_training.networks.pp_lcnetv2 import PPLCNetV2Config
from picoseek_training.networks.recognition import (
    ArcMarginHead,
    CircleMarginHead,
    CosMarginHead,
    FCHead,
    RecModel,
    RecModelConfig,
    build_rec_model,
)
from picoseek_training.recognition.network_config import HeadConfig, NetworkConfig

_HEADS: dict[str, type[nn.Layer]] = {
    "fc": FCHead,
    "arc_margin": ArcMarginHead,
    "cos_margin": CosMarginHead,
    "circle_margin": CircleMarginHead,
}


class RecEmbedder(nn.Layer):
    """Pictures [N, 3, S, S], normalised, to embeddings [N, dimension], not normalised: a recognition model at work."""

    def __init__(self, model: RecModel) -> None:
        """Share the layers of a model."""
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck

    def forward(self, image: Tensor) -> Tensor:
        """Return the embeddings."""
        features: Tensor = self.neck(self.backbone(image))
        return features


def check_network(config: NetworkConfig) -> None:
    """Make sure that a model can be built, which takes no time.

    Raises:
        ValueError: There is no such network, or it has no such setting; the message names the key.
    """
    known = [field.name for field in fields(_settings(config).backbone)]
    unknown = sorted(set(config.backbone) - set(known))
    if unknown:
        raise ValueError(f"network.backbone.{unknown[0]}: the backbone of {config.name} has {', '.join(known)}")


def build_model(config: NetworkConfig, num_classes: int | None) -> RecModel:
    """Build a recognition model with fresh weights; without classes it has no head.

    Raises:
        ValueError: See `check_network`.
    """
    check_network(config)
    settings = _settings(config)
    return build_rec_model(
        replace(
            settings,
            backbone=replace(settings.backbone, **config.backbone),
            dimension=config.dimension,
            num_classes=num_classes,
            head=settings.head if config.head is None else _head(config.head),
        )
    )


def _settings(config: NetworkConfig) -> RecModelConfig:
    try:
        found = registry.default_config(config.name)
    except ValueError as error:
        raise ValueError(f"network.name: {error}") from error
    if isinstance(found, RecModelConfig):
        return found
    if isinstance(found, PPLCNetConfig | PPLCNetV2Config):
        return RecModelConfig(replace(found, num_classes=None), "bn", FCHead)
    raise ValueError(f"network.name: {config.name} is no recognition model and no PP-LCNet")


def _head(config: HeadConfig) -> Callable[[int, int], nn.Layer]:
    given: dict[str, Any] = {
        name: value for name, value in (("margin", config.margin), ("scale", config.scale)) if value is not None
    }
    if config.kind == "fc" and given:
        raise ValueError(f"network.head.{min(given)}: the head fc has none; take a margin head, or leave it out")
    return partial(_HEADS[config.kind], **given)
