"""The embedder of a run."""

from __future__ import annotations

from pathlib import Path

from paddle import nn

from picoseek_training.checkpoint import load_averaged_weights
from picoseek_training.embedder.recipe import EmbedderRecipe
from picoseek_training.embedder.student import Embedder
from picoseek_training.recognition.config import RecognitionTrainingConfig
from picoseek_training.recognition.model import RecEmbedder, build_model
from picoseek_training.run.folder import LAST


def trained_embedder(recipe: EmbedderRecipe, path: Path | None = None) -> nn.Layer:
    """Return the averaged embedder of a checkpoint, by default of the run's last one.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is damaged, no checkpoint of a training, or one of another network.
    """
    embedder: nn.Layer
    if isinstance(recipe, RecognitionTrainingConfig):
        embedder = RecEmbedder(build_model(recipe.network, None))
    else:
        embedder = Embedder(recipe.student)
    load_averaged_weights(embedder, path or recipe.output / LAST)
    embedder.eval()
    return embedder
