"""Command line of the detector's recipe: train, measure, export."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import cv2

from picoseek_training.detector.checkpoint import load_averaged
from picoseek_training.detector.config import load_config
from picoseek_training.detector.evaluation import evaluate
from picoseek_training.detector.preparation import prepare
from picoseek_training.detector.training import LAST, DetectorTraining


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.detector", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML recipe")
    parser.add_argument("--evaluate", action="store_true", help="measure a checkpoint instead of training")
    parser.add_argument("--checkpoint", type=Path, help="default: the last one of the recipe's output folder")
    options = parser.parse_args(arguments)

    cv2.setNumThreads(1)
    try:
        config = load_config(options.config)
        if options.evaluate:
            detector = load_averaged(options.checkpoint or config.output / LAST)
            for data in config.evaluation:
                metrics = evaluate(detector, data, config.size, config.output / "cache")
                print(data.name, *(f"{name}={value:.3f}" for name, value in asdict(metrics).items()))
        else:
            DetectorTraining(config, *prepare(config)).run()
    except (FileNotFoundError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
