"""Recipes of embedders, of either method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from picoseek_training.configuration import read_configuration_of
from picoseek_training.embedder.config import STORED_SIDE, EmbedderTrainingConfig
from picoseek_training.recognition.config import RecognitionTrainingConfig

EmbedderRecipe = EmbedderTrainingConfig | RecognitionTrainingConfig

_KINDS: dict[str, type[Any]] = {
    "teacher_features": EmbedderTrainingConfig,
    "recognition": RecognitionTrainingConfig,
}


def read_embedder_recipe(path: Path, overrides: Sequence[str] = ()) -> EmbedderRecipe:
    """Read an embedder's recipe, see `read_configuration`; `method` says of which kind it is."""
    recipe: EmbedderRecipe = read_configuration_of(_KINDS, "method", "teacher_features", path, overrides)
    return recipe


def input_side(recipe: EmbedderRecipe) -> int:
    """Return the side of the square input, in pixels, at the end of the training."""
    return recipe.size if isinstance(recipe, RecognitionTrainingConfig) else recipe.phases[-1].side


def embedding_dimension(recipe: EmbedderRecipe) -> int:
    """Return the components of the embedding."""
    return recipe.network.dimension if isinstance(recipe, RecognitionTrainingConfig) else recipe.student.dimension


def stored_side(recipe: EmbedderRecipe) -> int:
    """Return the side at which the recipe's cache keeps decoded pictures."""
    return recipe.size if isinstance(recipe, RecognitionTrainingConfig) else STORED_SIDE
