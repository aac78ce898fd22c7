"""A trained detector from its run, and its figures on the recipe's sets."""

from __future__ import annotations

from pathlib import Path

from picoseek_training.detector.config import DetectorTrainingConfig
from picoseek_training.detector.evaluation import evaluate
from picoseek_training.detector.preparation import START
from picoseek_training.detector.weights import load_averaged
from picoseek_training.evaluation.coco_ap import DetectionMetrics
from picoseek_training.networks.picodet import PicoDet
from picoseek_training.run.folder import LAST


def trained_detector(config: DetectorTrainingConfig, checkpoint: Path | None = None) -> PicoDet:
    """Return the detector of a checkpoint, by default of the run's last one, with the recipe's share of the start.

    Raises:
        FileNotFoundError: There is no such checkpoint.
    """
    return load_averaged(
        checkpoint or config.output / LAST,
        config.output / START,
        config.bundle.start_share,
        config.network,
        config.further_sizes,
    )


def measure(config: DetectorTrainingConfig, detector: PicoDet) -> dict[str, DetectionMetrics]:
    """Return the figures of the recipe's evaluation sets, by their names.

    Raises:
        FileNotFoundError: A set is missing.
    """
    return {data.name: evaluate(detector, data, config.size, config.output / "cache") for data in config.evaluation}
