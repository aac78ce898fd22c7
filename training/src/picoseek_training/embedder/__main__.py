"""Command line of the embedder's recipe: train, measure, export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import yaml
from picoseek_bundle import BundleError, InputSpec

from picoseek_training import checkpoint
from picoseek_training.data.retrieval_sets import retrieval_tasks
from picoseek_training.embedder.config import EmbedderTrainingConfig, load_config
from picoseek_training.embedder.export import export_bundle
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.training import LAST, EmbedderTraining, score_task, state_of, training_views
from picoseek_training.embedder.whitening import pooled_features, whiten

_WHITENING_VIEWS = 6000


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m picoseek_training.embedder", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML recipe")
    parser.add_argument("--checkpoint", type=Path, help="default: the last one of the recipe's output folder")
    parser.add_argument("--side", type=int, help="input size in pixels; default: that of the last phase")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--evaluate", nargs="+", metavar="TASK", help="measure these tasks instead of training")
    action.add_argument("--export", type=Path, metavar="FOLDER", help="write a bundle instead of training")
    action.add_argument("--whiten", type=Path, metavar="FILE", help="write a whitened checkpoint instead of training")
    parser.add_argument("--card", type=Path, help="with --export: folder with MODEL_CARD.md and manifest.yaml")
    options = parser.parse_args(arguments)

    cv2.setNumThreads(1)
    try:
        config = load_config(options.config)
        side = options.side or config.phases[-1].side
        path = options.checkpoint or config.output / LAST
        if options.evaluate:
            embedder = _averaged(config, path)
            for task in retrieval_tasks(config.data, tuple(options.evaluate)):
                print(f"{task.name} recall_at_1={score_task(embedder, task, side, config):.4f}", flush=True)
        elif options.whiten:
            embedder = _averaged(config, path)
            whiten(embedder, pooled_features(embedder, training_views(config, _WHITENING_VIEWS, side)))
            checkpoint.save({"averaged": state_of(embedder)}, options.whiten)
        elif options.export:
            if options.card is None:
                parser.error("--export needs --card, the folder with MODEL_CARD.md and manifest.yaml")
            fields: dict[str, Any] = yaml.safe_load((options.card / "manifest.yaml").read_text(encoding="utf-8"))
            card = options.card / "MODEL_CARD.md"
            embedder = _averaged(config, path)
            spec = InputSpec(width=side, height=side)
            bundle = export_bundle(embedder, spec, config.student.dimension, card, options.export, **fields)
            print(f"{bundle.folder}: {bundle.manifest.name} {bundle.manifest.version}, space {bundle.space}")
        else:
            EmbedderTraining(config).run()
    except (FileNotFoundError, ValueError, FloatingPointError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _averaged(config: EmbedderTrainingConfig, path: Path) -> Embedder:
    embedder = Embedder(config.student)
    embedder.set_state_dict(checkpoint.load(path)["averaged"])
    embedder.eval()
    return embedder


if __name__ == "__main__":
    sys.exit(main())
