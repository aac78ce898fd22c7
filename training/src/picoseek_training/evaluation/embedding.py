"""Embedders measured on retrieval tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from picoseek_training.data.example import Example, RetrievalTask
from picoseek_training.data.example_store import read_square, stored_examples
from picoseek_training.data.normalisation import normalised
from picoseek_training.evaluation.retrieval import RetrievalScore, score_retrieval

_BATCH = 32


def score_task(
    embedder: nn.Layer, task: RetrievalTask, side: int, cache: Path | None, stored_side: int
) -> RetrievalScore:
    """Measure how whole pictures find each other.

    Args:
        embedder: Normalised pictures [N, 3, side, side] to embeddings [N, dimension].
        task: Gallery and queries.
        side: Input size in pixels.
        cache: Folder of decoded pictures; None decodes them anew.
        stored_side: Side at which the cache keeps them.
    """
    gallery, queries = (
        embed_examples(embedder, examples, side, cache, stored_side) for examples in (task.gallery, task.queries)
    )
    labels = [[str(example.label) for example in examples] for examples in (task.gallery, task.queries)]
    return score_retrieval(gallery, labels[0], queries, labels[1])


@paddle.no_grad()
def embed_examples(
    embedder: nn.Layer, examples: Sequence[Example], side: int, cache: Path | None, stored_side: int
) -> NDArray[np.float32]:
    """Return embeddings [N, dimension] of whole pictures, see `score_task`."""
    embedder.eval()
    store = None if cache is None else stored_examples(examples, stored_side, cache)
    parts: list[NDArray[np.float32]] = []
    for first in range(0, len(examples), _BATCH):
        chunk = range(first, min(first + _BATCH, len(examples)))
        pictures = [read_square(examples[row], side) if store is None else store[row] for row in chunk]
        resized = [
            picture if picture.shape[0] == side else np.asarray(cv2.resize(picture, (side, side)), np.uint8)
            for picture in pictures
        ]
        parts.append(embedder(paddle.to_tensor(normalised(np.stack(resized)))).numpy())
    return np.concatenate(parts)
