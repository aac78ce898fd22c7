"""Configuration of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from picoseek_training.configuration import STRICT

Format = Literal["coco2017", "icartoonface", "logodet3k", "objects365", "rpc"]


@dataclass(frozen=True)
class SourceConfig:
    """One set in its native format."""

    __pydantic_config__ = STRICT

    name: str
    """Of the set, in the report and in every picture's `source`; with copied pictures the name of their folder."""
    format: Format
    images: Path
    """Folder of the pictures."""
    annotations: Path | None = None
    """Annotation file; only for `logodet3k`, whose files lie beside the pictures, it may be left out."""
    pictures: int | None = None
    """Take so many at random; none takes all."""


@dataclass(frozen=True)
class ConvertConfig:
    """What is converted and into which file."""

    __pydantic_config__ = STRICT

    output: Path
    """The COCO file to write. Its `file_name`s are relative to the folder it lies in."""
    sources: tuple[SourceConfig, ...]
    seed: int = 0
    """Of the random choice of pictures; a set's choice does not depend on the other sets."""
    least_side: float = 1.0
    """Boxes whose shorter side is below so many pixels, once cut to the picture, are dropped."""
    keep_empty: bool = False
    """Keep pictures without a box to find; most sets have such pictures because something was not annotated."""
    copy_pictures: bool = False
    """Copy the pictures to `images/<name>/` beside the output, instead of naming them where they are."""
