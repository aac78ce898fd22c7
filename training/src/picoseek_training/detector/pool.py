"""The training sets with their targets, ready to be sampled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.data.coco import AnnotatedPicture, read_coco
from picoseek_training.data.detection_augmentation import DetectionSample
from picoseek_training.data.picture_cache import cached_pictures
from picoseek_training.detector.config import SetConfig, TeacherConfig
from picoseek_training.detector.targets import PictureTargets, annotated_targets, pseudo_targets

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class RawSet:
    """A training set before the teacher has looked at it."""

    config: SetConfig
    annotated: list[AnnotatedPicture] | None
    """Annotations, or None for a set without."""
    pictures: NDArray[np.uint8]
    """[N, size, size, 3] BGR."""


@dataclass(frozen=True)
class TrainingSet:
    """A training set with one target a picture."""

    name: str
    share: float
    pictures: NDArray[np.uint8]
    """[N, size, size, 3] BGR."""
    targets: list[PictureTargets]

    def sample(self, index: int) -> DetectionSample:
        """The picture and its boxes."""
        target = self.targets[index]
        return DetectionSample(np.asarray(self.pictures[index]), target.boxes, target.ignored)


def read_set(config: SetConfig, preprocessor: Preprocessor, cache: Path) -> RawSet:
    """Read a set's pictures and annotations.

    Raises:
        FileNotFoundError: The annotation file or a picture is missing, or the folder holds no picture.
    """
    if config.annotations is not None:
        annotated = read_coco(config.annotations, config.images)
        paths = [picture.path for picture in annotated]
    else:
        annotated = None
        paths = sorted(path for path in config.images.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            raise FileNotFoundError(f"set {config.name}: no pictures under {config.images}")
        if config.pictures is not None and config.pictures < len(paths):
            chosen = np.linspace(0, len(paths) - 1, config.pictures).astype(int)
            paths = [paths[index] for index in chosen]
    return RawSet(config, annotated, cached_pictures(paths, preprocessor, cache))


def add_targets(
    raw: RawSet, teacher_rows: list[NDArray[np.float32]], config: TeacherConfig, preprocessor: Preprocessor
) -> TrainingSet:
    """Make the targets of a set; boxes become input pixels.

    Args:
        raw: Set without targets.
        teacher_rows: [m, 6] class, score and box in input pixels that the teacher found in each picture.
        config: Scores that count.
        preprocessor: Gives the input size.
    """
    _, height, width = preprocessor.shape
    if raw.annotated is None:
        targets = [pseudo_targets(rows, config) for rows in teacher_rows]
    else:
        targets = [
            annotated_targets(*_scaled(picture, width, height), rows, config)
            for picture, rows in zip(raw.annotated, teacher_rows, strict=True)
        ]
    return TrainingSet(raw.config.name, raw.config.share, raw.pictures, targets)


def _scaled(picture: AnnotatedPicture, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and ignored regions in a picture of another size."""
    factor = np.array([width / picture.width, height / picture.height] * 2, np.float32)
    return picture.boxes * factor, picture.ignored * factor
