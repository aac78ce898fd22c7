"""Command line of the detector's recipe: train, measure, export."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
from picoseek_bundle.errors import BundleError

from picoseek_training.detector.config import DetectorTrainingConfig, load_config
from picoseek_training.detector.export import export_trained
from picoseek_training.detector.measurement import measure, trained_detector
from picoseek_training.detector.preparation import prepare
from picoseek_training.detector.training import DetectorTraining


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.detector", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML recipe")
    parser.add_argument("--evaluate", action="store_true", help="measure a checkpoint instead of training")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="measure a checkpoint and write its bundle")
    parser.add_argument("--checkpoint", type=Path, help="default: the last one of the recipe's output folder")
    options = parser.parse_args(arguments)

    cv2.setNumThreads(1)
    try:
        config = load_config(options.config)
        if options.evaluate or options.export:
            _measure(config, options.config, options.checkpoint, options.export)
        else:
            DetectorTraining(config, *prepare(config)).run()
    except (FileNotFoundError, ValueError, FloatingPointError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(config: DetectorTrainingConfig, recipe: Path, checkpoint: Path | None, target: Path | None) -> None:
    detector = trained_detector(config, checkpoint)
    measured = measure(config, detector)
    for name, metrics in measured.items():
        print(name, *(f"{key}={value:.3f}" for key, value in asdict(metrics).items()), flush=True)
    if target is not None:
        command = f"python -m picoseek_training.detector --config {recipe}"
        written = export_trained(config, detector, measured, command, target)
        print(f"wrote {written.folder}", written.digest)


if __name__ == "__main__":
    sys.exit(main())
