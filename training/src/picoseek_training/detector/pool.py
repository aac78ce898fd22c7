"""The training sets with their targets, ready to be sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.data.coco import AnnotatedPicture, read_coco
from picoseek_training.data.cut_boxes import cut_boxes
from picoseek_training.data.detection_augmentation import DetectionSample
from picoseek_training.data.picture_cache import cached_pictures
from picoseek_training.data.picture_file import read_picture
from picoseek_training.detector.config import SetConfig
from picoseek_training.detector.targets import PictureTargets, no_targets

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class RawSet:
    """A training set as it was read."""

    config: SetConfig
    annotated: list[AnnotatedPicture] | None
    """Annotations, or None for a set without."""
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    """N pictures [height, width, 3] BGR; kept ones are [size, size, 3]."""


@dataclass(frozen=True)
class TrainingSet:
    """A training set with one target a picture."""

    name: str
    share: float
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    """N pictures [height, width, 3] BGR; kept ones are [size, size, 3]."""
    targets: list[PictureTargets]
    annotated: bool = True
    """Whether the targets say everything that is in the pictures."""

    def sample(self, index: int) -> DetectionSample:
        """The picture and its boxes."""
        target = self.targets[index]
        return DetectionSample(np.asarray(self.pictures[index]), target.boxes, target.ignored)


class PictureFiles(Sequence[NDArray[np.uint8]]):
    """Pictures that are decoded anew whenever they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        """Return a picture [height, width, 3] BGR."""
        return read_picture(self._paths[index])


def read_set(config: SetConfig, preprocessor: Preprocessor, cache: Path | None) -> RawSet:
    """Read a set's pictures and annotations; without a cache, pictures are decoded when they are used.

    Raises:
        FileNotFoundError: The annotation file or a picture is missing, or the folder holds no picture.
        ValueError: The annotation file cannot be used, see `read_coco`.
    """
    if config.annotations is not None:
        if not config.annotations.is_file():
            raise FileNotFoundError(
                f"set {config.name}: {config.annotations} does not exist; `picoseek-train convert` writes such files "
                "from public sets, and docs/training.md says what yours must look like"
            )
        annotated = cut_boxes(read_coco(config.annotations, config.images), config.annotations)
        paths = [picture.path for picture in annotated]
    else:
        annotated = None
        paths = sorted(path for path in config.images.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            raise FileNotFoundError(f"set {config.name}: no pictures under {config.images}")
        if config.pictures is not None and config.pictures < len(paths):
            chosen = np.linspace(0, len(paths) - 1, config.pictures).astype(int)
            paths = [paths[index] for index in chosen]
    lost = next((path for path in paths if not path.is_file()), None)
    if lost is not None:
        raise FileNotFoundError(
            f"set {config.name}: {lost} does not exist; `picoseek-train check-data` finds all of them"
        )
    return RawSet(
        config, annotated, PictureFiles(paths) if cache is None else cached_pictures(paths, preprocessor, cache)
    )


def training_set(raw: RawSet) -> TrainingSet:
    """Make the targets of a set, in the pixels of its pictures as they are."""
    if raw.annotated is None:
        targets = [no_targets() for _ in raw.pictures]
    elif isinstance(raw.pictures, PictureFiles):
        targets = [PictureTargets(picture.boxes, picture.ignored) for picture in raw.annotated]
    else:
        targets = [
            PictureTargets(*_scaled(picture, kept.shape[1], kept.shape[0]))
            for picture, kept in zip(raw.annotated, raw.pictures, strict=True)
        ]
    return TrainingSet(raw.config.name, raw.config.share, raw.pictures, targets, raw.annotated is not None)


def _scaled(picture: AnnotatedPicture, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and ignored regions in a picture of another size."""
    factor = np.array([width / picture.width, height / picture.height] * 2, np.float32)
    return picture.boxes * factor, picture.ignored * factor
