"""The embedder of a run."""

from __future__ import annotations

from pathlib import Path

from paddle import nn

from picoseek_training import checkpoint
from picoseek_training.embedder.recipe import EmbedderRecipe
from picoseek_training.embedder.student import Embedder
from picoseek_training.recognition.config import RecognitionTrainingConfig
from picoseek_training.recognition.training import trained_rec_embedder
from picoseek_training.run.folder import LAST


def trained_embedder(recipe: EmbedderRecipe, path: Path | None = None) -> nn.Layer:
    """Return the averaged embedder of a checkpoint, by default of the run's last one.

    Raises:
        FileNotFoundError: There is no such checkpoint.
    """
    content = checkpoint.load(path or recipe.output / LAST)
    if isinstance(recipe, RecognitionTrainingConfig):
        return trained_rec_embedder(recipe, content)
    embedder = Embedder(recipe.student)
    embedder.set_state_dict(content["averaged"])
    embedder.eval()
    return embedder
