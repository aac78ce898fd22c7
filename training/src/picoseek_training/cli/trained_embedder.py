"""The embedder of a run."""

from __future__ import annotations

from pathlib import Path

from picoseek_training import checkpoint
from picoseek_training.embedder.config import EmbedderTrainingConfig
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.training import LAST


def trained_embedder(config: EmbedderTrainingConfig, path: Path | None = None) -> Embedder:
    """Return the averaged embedder of a checkpoint, by default of the run's last one.

    Raises:
        FileNotFoundError: There is no such checkpoint.
    """
    embedder = Embedder(config.student)
    embedder.set_state_dict(checkpoint.load(path or config.output / LAST)["averaged"])
    embedder.eval()
    return embedder
