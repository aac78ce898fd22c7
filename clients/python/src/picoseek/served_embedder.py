"""Which embedder a gallery is made with."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek.async_client import AsyncClient
from picoseek.collection import Collection
from picoseek.embedding import EmbeddingSpace
from picoseek.errors import FailedPreconditionError
from picoseek.model import ModelTask


@dataclass(frozen=True)
class ServedEmbedder:
    """An embedder of the service."""

    name: str
    """Its name in requests."""
    space: EmbeddingSpace
    """Space of its vectors."""


async def find_embedder(client: AsyncClient, name: str = "", *, timeout_s: float | None = None) -> ServedEmbedder:
    """Return an embedder by name; empty: the service's default.

    Raises:
        FailedPreconditionError: the service has no such embedder.
    """
    embedders = await _embedders(client, timeout_s)
    for embedder, is_default in embedders:
        if embedder.name == name if name else is_default:
            return embedder
    wanted = f"embedder {name!r}" if name else "default embedder"
    raise FailedPreconditionError(
        f"detect_embed serves no {wanted}; it has: {_names(embedders)}", reason="MODEL_NOT_FOUND"
    )


async def find_embedder_of(
    client: AsyncClient, collection: Collection, *, timeout_s: float | None = None
) -> ServedEmbedder:
    """Return the embedder whose vectors a collection holds; the service's default if that is one of several.

    Raises:
        FailedPreconditionError: the service has none of the collection's space.
    """
    embedders = await _embedders(client, timeout_s)
    fitting = [pair for pair in embedders if pair[0].space.digest == collection.space.digest]
    if fitting:
        return max(fitting, key=lambda pair: pair[1])[0]
    raise FailedPreconditionError(
        f"detect_embed serves no embedder of collection {collection.name!r}, whose space is "
        f"{collection.space.digest!r}; it has: {_names(embedders)}; serve the bundle that the collection was made with "
        "beside, or use another collection",
        reason="EMBEDDING_SPACE_MISMATCH",
    )


async def _embedders(client: AsyncClient, timeout_s: float | None) -> list[tuple[ServedEmbedder, bool]]:
    """Return the embedders, and of each whether it is the default."""
    return [
        (ServedEmbedder(model.name, model.space), model.is_default)
        for model in await client.models(timeout_s=timeout_s)
        if model.task is ModelTask.EMBEDDING and model.space is not None
    ]


def _names(embedders: list[tuple[ServedEmbedder, bool]]) -> str:
    return ", ".join(embedder.name for embedder, _ in embedders) or "none"
