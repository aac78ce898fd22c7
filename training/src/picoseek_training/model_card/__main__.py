"""Prints the tables of a model card: starts the services and measures every public task through them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from picoseek_training.data.retrieval_sets import RETRIEVAL_TASKS
from picoseek_training.model_card.measurements import (
    DETECTION_SETS,
    ServicesError,
    measure_detection,
    measure_retrieval,
    running_services,
)

_RETRIEVAL = {"Recall@1": "recall_at_1", "Recall@5": "recall_at_5", "mAP": "map", "queries": "queries_with_match"}
_DETECTION = {"AP50": "ap50", "AP": "ap", "AR": "ar", "best box hits": "best_box_iou50", "pictures": "pictures"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.model_card", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument(
        "--bundle", type=Path, action="append", default=[], help="model to measure instead of the shipped one"
    )
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        print(f"error: {options.data} does not exist; name the folder of the public sets", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with running_services(options.bundle, folder) as services:
                _table(
                    "whole pictures",
                    _RETRIEVAL,
                    RETRIEVAL_TASKS,
                    lambda name: measure_retrieval(options.data, name, services, folder),
                )
                _table(
                    "boxes", _DETECTION, DETECTION_SETS, lambda name: measure_detection(options.data, name, services)
                )
    except ServicesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _table(
    title: str, columns: dict[str, str], names: tuple[str, ...], measure: Callable[[str], dict[str, Any]]
) -> None:
    print(f"| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}", flush=True)
    for name in names:
        try:
            figures = measure(name)
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        cells = [figures[key] for key in columns.values()]
        shown = " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
        print(f"| {name.replace('_', ' ')} | {shown} |", flush=True)
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
