"""What must exist before the first step: pictures with targets, and the network to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training import checkpoint
from picoseek_training.detector.config import DetectorTrainingConfig, TeacherConfig
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.inference import batches
from picoseek_training.detector.pool import RawSet, TrainingSet, read_set, training_set
from picoseek_training.detector.start import load_class_agnostic_start
from picoseek_training.detector.weights import load_averaged, load_weights, state_of
from picoseek_training.networks.picodet import PICODET_CONFIGS, PicoDet
from picoseek_training.networks.registry import create
from picoseek_training.run.fingerprint import file_digest, fingerprint

START = "start.ckpt"
_OFFICIAL = "picodet_xs"


class Preparation(NamedTuple):
    """What a training starts with."""

    sets: list[TrainingSet]
    """With their targets."""
    detector: PicoDet
    """Of one class, to be trained."""
    teacher: PicoDet | None
    """The official one of 80 classes, if the recipe has it."""


def prepare(config: DetectorTrainingConfig) -> Preparation:
    """Read the sets and make the detector to start from.

    The import of the official model is kept in the output folder, with a key of what it was made from, and not done
    again for the same.

    Raises:
        FileNotFoundError: A data set, the teacher or the start is missing.
        ValueError: The recipe cannot be trained; the message names the key.
    """
    _check(config)
    preprocessor = Preprocessor(input_spec(config.size))
    cache = config.output / "cache" if config.cache else None
    raw_sets = [read_set(each, preprocessor, cache) for each in config.train]
    sets = [training_set(raw) for raw in raw_sets]
    if not any(len(target.boxes) for each in sets if each.annotated for target in each.targets):
        raise ValueError("train: no set has a box to learn from; `picoseek-train check-data` looks closer")
    if config.teacher is None:
        return Preparation(sets, _own_start(config), None)
    return Preparation(sets, *_official_start(config, config.teacher, raw_sets, preprocessor))


def _check(config: DetectorTrainingConfig) -> None:
    """Find what is wrong or missing before anything costs time."""
    if not config.train:
        raise ValueError("train: name at least one set")
    if config.teacher is None:
        bare = next((each.name for each in config.train if each.annotations is None), None)
        if bare is not None:
            raise ValueError(
                f"train: set {bare} has no annotations; without `teacher` nothing says what is in its pictures"
            )
    else:
        if config.network != _OFFICIAL or config.start is not None or not config.cache:
            raise ValueError(
                f"teacher: it is the start of {_OFFICIAL}, with kept pictures; take `teacher` out for another "
                "`network`, `start` or `cache: false`"
            )
        if not config.teacher.onnx.is_file():
            raise FileNotFoundError(
                f"teacher.onnx: {config.teacher.onnx} does not exist; it is PaddleDetection's PicoDet-XS 320 LCNet "
                "(COCO, Apache-2.0) as ONNX, and docs/training.md says where to get it"
            )
    for data in config.evaluation:
        if not data.annotations.is_file():
            raise FileNotFoundError(f"evaluation: set {data.name}: {data.annotations} does not exist")


def _own_start(config: DetectorTrainingConfig) -> PicoDet:
    paddle.seed(config.seed)
    detector = create(config.network, num_classes=1)
    if not isinstance(detector, PicoDet):
        raise ValueError(f"network: {config.network} is no detector")
    if config.start is not None:
        load_weights(detector, config.start, "start")
    return detector


def _official_start(
    config: DetectorTrainingConfig, official: TeacherConfig, raw_sets: list[RawSet], preprocessor: Preprocessor
) -> tuple[PicoDet, PicoDet]:
    """Return the detector of one class made of the official one, and the official one."""
    start = config.output / START
    listings = [
        [raw.config.name, len(raw.pictures), str(raw.config.images), str(raw.config.annotations), raw.config.pictures]
        for raw in raw_sets
    ]
    key = fingerprint(file_digest(official.onnx), official.calibration_pictures, config.size, listings)
    kept = checkpoint.load(start) if start.exists() else {}
    if kept.get("key") != key:
        pictures = _spread(raw_sets, official.calibration_pictures)
        teacher, detector = load_class_agnostic_start(official.onnx, list(batches(pictures, preprocessor)))
        checkpoint.save({"averaged": state_of(detector), "teacher": state_of(teacher), "key": key}, start)
        return detector, teacher
    teacher = PicoDet(PICODET_CONFIGS[_OFFICIAL])
    teacher.set_state_dict(kept["teacher"])
    return load_averaged(start), teacher


def _spread(raw_sets: Sequence[RawSet], count: int) -> list[NDArray[np.uint8]]:
    """Pictures at even distances, the same number of each set."""
    each = max(count // len(raw_sets), 1)
    return [
        np.asarray(raw.pictures[index])
        for raw in raw_sets
        for index in np.unique(np.linspace(0, len(raw.pictures) - 1, each).astype(int))
    ]
