"""Configuration of a check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from picoseek_training.configuration import STRICT


@dataclass(frozen=True)
class SplitConfig:
    """Pictures for one purpose."""

    __pydantic_config__ = STRICT

    name: str
    """In the report."""
    source: Path
    """A COCO file (`.json`), a PaddleClas label file or CSV file, or a folder with a folder a class."""
    images: Path | None = None
    """Folder that the file's paths are relative to; by default that of the file, or `images` beside it."""


@dataclass(frozen=True)
class CheckConfig:
    """What is looked at, and what is found strange."""

    __pydantic_config__ = STRICT

    splits: tuple[SplitConfig, ...]
    """Such as training and test; what is in two of them is a duplicate between splits."""
    tiny: int = 32
    """Pictures whose shorter side has fewer pixels are called tiny."""
    tolerance: float = 1.0
    """So many pixels a box may leave its picture, as rounding makes it."""
    near_duplicates: bool = True
    """Look for pictures that look the same as well as for equal files."""
