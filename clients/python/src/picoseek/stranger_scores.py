"""What strangers score in a gallery, measured on its own references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek.async_client import AsyncClient
from picoseek.deadline import Deadline
from picoseek.document import DocumentMask
from picoseek.embedding import EmbeddingSpace
from picoseek.search import SearchOptions

_MOST_LISTED = 20_000
_MOST_SAMPLED = 512
_BATCH = 128


@dataclass(frozen=True, eq=False)
class StrangerScores:
    """Scores of references against the references of other items."""

    scores: NDArray[np.float64]
    """[n], for each sampled reference the score of the nearest reference of another item.

    Two references that are each other's nearest count once: their score is one sample, not two.
    """
    self_score: float
    """Median score of a reference with itself."""
    larger_is_closer: bool
    """Direction of the scores."""


async def measure_stranger_scores(
    client: AsyncClient, gallery: str, space: EmbeddingSpace, deadline: Deadline
) -> StrangerScores:
    """Search for references of a gallery in the gallery itself.

    At most 512 references, spread evenly over the first 20,000 by id, are taken.

    Args:
        client: how to ask.
        gallery: name of the collection.
        space: space of its vectors.
        deadline: for all calls together.

    Raises:
        PicoSeekError: a call failed.
    """
    sampled = await _sample(client, gallery, deadline)
    strangers: dict[frozenset[str], float] = {}
    own: list[float] = []
    larger_is_closer = True
    for start in range(0, len(sampled), _BATCH):
        got = await client.get(
            gallery,
            sampled[start : start + _BATCH],
            include=DocumentMask(vector=True),
            timeout_s=deadline.require("the gallery was measured"),
        )
        vectors = [document.vector for document in got.documents if document.vector is not None]
        if not vectors:
            continue
        # The nearest reference of each of the two nearest items: its own item and the nearest other.
        found = await client.search(
            gallery,
            vectors,
            space=space.digest,
            options=SearchOptions(k=2, max_per_item=1, include=DocumentMask()),
            timeout_s=deadline.require("the gallery was measured"),
        )
        larger_is_closer = found.larger_is_closer
        for document, hits in zip(got.documents, found.hits, strict=True):
            item = document.item or document.id
            own += [hit.score for hit in hits if hit.item == item]
            other = next((hit for hit in hits if hit.item != item), None)
            if other is not None:
                strangers[frozenset((document.id, other.id))] = other.score
    return StrangerScores(
        np.array(list(strangers.values())), float(np.median(own)) if own else float(larger_is_closer), larger_is_closer
    )


async def _sample(client: AsyncClient, gallery: str, deadline: Deadline) -> list[str]:
    ids: list[str] = []
    listing = client.list_documents(
        gallery, include=DocumentMask(), page_size=1000, timeout_s=deadline.require("the gallery was listed")
    )
    async for document in listing:
        ids.append(document.id)
        if len(ids) == _MOST_LISTED:
            break
    step = max(1, -(-len(ids) // _MOST_SAMPLED))
    return ids[::step]
