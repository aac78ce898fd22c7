"""Every published network by name, built with its configuration or with parts of it replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from paddle import nn

from picoseek_training.networks.efficientnet_lite import EFFICIENTNET_LITE_CONFIGS, EfficientNetLite
from picoseek_training.networks.picodet import PICODET_CONFIGS, PicoDet
from picoseek_training.networks.pp_lcnet import PPLCNET_CONFIGS, PPLCNet
from picoseek_training.networks.pp_lcnetv2 import PPLCNETV2_CONFIGS, PPLCNetV2
from picoseek_training.networks.recognition import REC_MODEL_CONFIGS, build_rec_model


@dataclass(frozen=True)
class _Entry:
    """A network that can be built."""

    build: Callable[[Any], nn.Layer]
    config: Any
    """Frozen dataclass, the argument of `build`."""


_ENTRIES: dict[str, _Entry] = {
    **{name: _Entry(PPLCNet, config) for name, config in PPLCNET_CONFIGS.items()},
    **{name: _Entry(PPLCNetV2, config) for name, config in PPLCNETV2_CONFIGS.items()},
    **{name: _Entry(EfficientNetLite, config) for name, config in EFFICIENTNET_LITE_CONFIGS.items()},
    **{name: _Entry(build_rec_model, config) for name, config in REC_MODEL_CONFIGS.items()},
    **{name: _Entry(PicoDet, config) for name, config in PICODET_CONFIGS.items()},
}


def names(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern, family by family and small before large."""
    return [name for name in _ENTRIES if fnmatchcase(name, pattern)]


def default_config(name: str) -> Any:
    """Return a network's published configuration: the frozen dataclass beside its model.

    Raises:
        ValueError: No network has this name; the message suggests near ones.
    """
    return _entry(name).config


def create(name: str, **overrides: Any) -> nn.Layer:
    """Build a network with fresh weights.

    Args:
        name: One of `names()`.
        overrides: Settings of its configuration to replace, such as `num_classes`.

    Raises:
        ValueError: No network has this name, or its configuration no such setting; the message suggests near ones.
    """
    entry = _entry(name)
    settings = [field.name for field in fields(entry.config)]
    for setting in overrides:
        if setting not in settings:
            raise ValueError(f"{name} has no setting {setting!r}; {_suggestion(setting, settings)}")
    return entry.build(replace(entry.config, **overrides))


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        raise ValueError(f"unknown network {name!r}; {_suggestion(name, _ENTRIES)}")
    return _ENTRIES[name]


def _suggestion(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = get_close_matches(word.lower(), known)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
