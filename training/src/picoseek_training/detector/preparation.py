"""What must exist before the first step: pictures, the teacher's view of them, and the network to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training import checkpoint
from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.inference import batches, class_agnostic, detect_all
from picoseek_training.detector.pool import RawSet, TrainingSet, add_targets, read_set
from picoseek_training.detector.start import load_class_agnostic_start
from picoseek_training.detector.weights import load_averaged, state_of
from picoseek_training.networks.picodet.detector import PicoDet
from picoseek_training.networks.picodet.nms import NmsConfig

START = "start.ckpt"


def prepare(config: DetectorTrainingConfig) -> tuple[list[TrainingSet], PicoDet]:
    """Return the training sets with their targets, and the detector of one class to start from.

    The import and what the teacher sees are kept in the output folder, and not done again.

    Raises:
        FileNotFoundError: A data set or the teacher is missing.
    """
    preprocessor = Preprocessor(input_spec(config.size))
    raw_sets = [read_set(each, preprocessor, config.output / "cache") for each in config.train]
    start = config.output / START
    teacher: PicoDet | None = None
    if not start.exists() or not all(_memory(config, raw).exists() for raw in raw_sets):
        pictures = _spread(raw_sets, config.teacher.calibration_pictures)
        teacher, detector = load_class_agnostic_start(config.teacher.onnx, list(batches(pictures, preprocessor)))
        checkpoint.save({"averaged": state_of(detector)}, start)
    sets = [
        add_targets(raw, _teacher_rows(config, raw, teacher, preprocessor), config.teacher, preprocessor)
        for raw in raw_sets
    ]
    return sets, load_averaged(start)


def _memory(config: DetectorTrainingConfig, raw: RawSet) -> Path:
    return config.output / "teacher" / f"{raw.config.name}.npz"


def _teacher_rows(
    config: DetectorTrainingConfig, raw: RawSet, teacher: PicoDet | None, preprocessor: Preprocessor
) -> list[NDArray[np.float32]]:
    """Rows [m, 6] (class, score, box in input pixels) that the teacher finds in each picture."""
    memory = _memory(config, raw)
    if teacher is None:
        with np.load(memory) as stored:
            return np.split(stored["rows"], np.cumsum(stored["counts"])[:-1])
    nms = NmsConfig(score_threshold=config.teacher.ignore_score, nms_threshold=config.teacher.nms_threshold)
    same_size = np.ones((len(raw.pictures), 2), np.float32)
    rows = detect_all(class_agnostic(teacher, nms), raw.pictures, same_size, preprocessor)
    memory.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(memory, rows=np.concatenate(rows), counts=[len(each) for each in rows])
    return rows


def _spread(raw_sets: Sequence[RawSet], count: int) -> list[NDArray[np.uint8]]:
    """Pictures at even distances, the same number of each set."""
    each = max(count // len(raw_sets), 1)
    return [
        np.asarray(raw.pictures[index])
        for raw in raw_sets
        for index in np.unique(np.linspace(0, len(raw.pictures) - 1, each).astype(int))
    ]
