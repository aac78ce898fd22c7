"""COCO measures of a detector on labelled sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from picoseek_bundle.preprocess import Preprocessor

from picoseek_training.data.coco import read_coco
from picoseek_training.data.picture_cache import cached_pictures
from picoseek_training.detector.config import EvaluationSetConfig
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.inference import Detect, detect_all
from picoseek_training.evaluation.coco_ap import DetectionMetrics, PictureDetections, detection_metrics


def evaluate(detect: Detect, data: EvaluationSetConfig, size: int, cache: Path) -> DetectionMetrics:
    """Measure a detector, class-agnostic, in the pixels of the original pictures; crowd regions are ignored.

    Args:
        detect: Detector in evaluation mode.
        data: Labelled set.
        size: Side of the detector's square input.
        cache: Folder of decoded pictures.
    """
    preprocessor = Preprocessor(input_spec(size))
    annotated = read_coco(data.annotations, data.images)
    pictures = cached_pictures([picture.path for picture in annotated], preprocessor, cache)
    scale = np.array([[size / picture.height, size / picture.width] for picture in annotated], np.float32)
    found = detect_all(detect, pictures, scale, preprocessor)
    return detection_metrics(
        [
            PictureDetections(rows[:, 2:], rows[:, 1], picture.boxes, picture.ignored)
            for rows, picture in zip(found, annotated, strict=True)
        ]
    )
