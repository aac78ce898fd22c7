"""Which embedder a gallery is made with."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek.async_client import AsyncClient
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
    embedders = {
        model.name: (model.is_default, model.space)
        for model in await client.models(timeout_s=timeout_s)
        if model.task is ModelTask.EMBEDDING
    }
    for candidate, (is_default, space) in embedders.items():
        if space is not None and (candidate == name if name else is_default):
            return ServedEmbedder(candidate, space)
    wanted = f"embedder {name!r}" if name else "default embedder"
    raise FailedPreconditionError(
        f"detect_embed serves no {wanted}; it has: {', '.join(embedders) or 'none'}", reason="MODEL_NOT_FOUND"
    )
