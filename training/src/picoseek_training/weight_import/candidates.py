"""Which networks of the registry a file may hold, with the settings that its shapes tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import paddle
from paddle import nn

from picoseek_training.networks import registry
from picoseek_training.networks.layers import DownscaleInInferDropout

Shape = tuple[int, ...]
_DISTANCE_BINS = 4 * 8
"""Outputs of a legacy PicoDet head beside the classes: eight bins for each side."""
_FACTOR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class NetworkChoice:
    """A network of the registry with the settings in which it differs from its default."""

    name: str
    settings: tuple[tuple[str, Any], ...] = ()
    """Hashable form of the overrides of `registry.create`."""

    def build(self) -> nn.Layer:
        """Make it, with fresh weights."""
        return registry.create(self.name, **dict(self.settings))

    def with_settings(self, settings: Mapping[str, Any]) -> NetworkChoice:
        """Add settings."""
        return NetworkChoice(self.name, tuple(sorted({**dict(self.settings), **settings}.items())))

    @property
    def family(self) -> str:
        """The first part of the name: pplcnet, pplcnetv2, picodet, general or efficientnet."""
        return self.name.split("_", 1)[0]


def variants(name: str) -> list[NetworkChoice]:
    """Return the forms in which a network is published: with and without classifier, branches apart and fused."""
    plain = NetworkChoice(name)
    found = [plain]
    if plain.family in ("pplcnet", "pplcnetv2", "efficientnet") and not name.endswith("shitu"):
        found.append(plain.with_settings({"num_classes": None}))
    if plain.family == "pplcnetv2" or name == "general_recognition_v2":
        found += [each.with_settings({"branches": "largest"}) for each in list(found)]
    return found


def told_settings(choice: NetworkChoice, shapes: Mapping[str, Shape]) -> NetworkChoice:
    """Return the choice with what its file's shapes say of classes and dimensions.

    Args:
        choice: A network.
        shapes: Shapes of the file's tensors by their names in the state dict.
    """
    settings: dict[str, Any] = {}
    if choice.family == "picodet":
        predictor = shapes.get("head.head_cls0.weight", (0,))
        legacy = registry.default_config(choice.name).head == "legacy"
        settings["num_classes"] = max(predictor[0] - (_DISTANCE_BINS if legacy else 0), 1)
    elif choice.family == "general":
        head = shapes.get("head.weight") or shapes.get("head.fc.weight")
        settings["num_classes"] = head[-1] if head else None
        neck = shapes.get("neck.feat_bn.weight") or shapes.get("neck.fc.weight")
        if neck:
            settings["dimension"] = neck[-1]
    else:
        settings["num_classes"] = shapes["fc.weight"][-1] if "fc.weight" in shapes else None
        if "last_conv.weight" in shapes:
            settings["class_expand"] = shapes["last_conv.weight"][0]
        elif choice.family == "pplcnet":
            settings["use_last_conv"] = False
    defaults = registry.default_config(choice.name)
    return choice.with_settings({key: value for key, value in settings.items() if getattr(defaults, key) != value})


def told_dropout(choice: NetworkChoice, network: nn.Layer, factors: Collection[float]) -> NetworkChoice:
    """Return the choice without dropout where the network would multiply by a number that its file does not.

    Args:
        choice: A network.
        network: The same, built.
        factors: Numbers by which the file multiplies whole tensors.
    """
    own = [1 - layer.p for layer in network.sublayers() if isinstance(layer, DownscaleInInferDropout)]
    is_in_file = all(any(abs(one - factor) < _FACTOR_TOLERANCE for factor in (1.0, *factors)) for one in own)
    return choice if is_in_file else choice.with_settings({"dropout": 0.0})


@cache
def state_shapes(choice: NetworkChoice) -> dict[str, Shape]:
    """Return the shapes of a network's state by name, without giving it weights."""
    with paddle.LazyGuard():
        network = choice.build()
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}
