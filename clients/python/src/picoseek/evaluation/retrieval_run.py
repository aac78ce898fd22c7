"""Measures retrieval through the running services, so that the figures are what a user gets."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from picoseek.async_client import AsyncClient
from picoseek.collection import Collection, IndexConfig
from picoseek.detect_embed import DetectEmbedOptions
from picoseek.document import Document, DocumentMask
from picoseek.embedding import Vector, VectorType
from picoseek.errors import InvalidArgumentError
from picoseek.evaluation.picture_batches import in_batches
from picoseek.evaluation.retrieval import RetrievalScores, score_rankings
from picoseek.labelled_pictures import LabelledPicture
from picoseek.picture import PictureInput
from picoseek.readable_text import readable
from picoseek.search import SearchOptions
from picoseek.served_embedder import ServedEmbedder, find_embedder
from picoseek.usable_results import PictureOutcome

OutcomeT = TypeVar("OutcomeT", bound=PictureOutcome)

_WRITE_BATCH = 500
_MOST_RANKS = 1000
_MOST_HITS = 50_000


class Regions(Enum):
    """What of a query picture is looked up; gallery pictures are always embedded whole."""

    WHOLE = "whole"
    """The whole picture."""
    DETECT = "detect"
    """What the detector finds, the whole picture where it finds nothing; a reference counts with its best score."""


@dataclass(frozen=True)
class RetrievalReport:
    """What was measured."""

    scores: RetrievalScores
    """Recall and mean average precision. Ranks beyond the 1000th add no precision."""
    gallery_pictures: int
    """Pictures in the gallery."""
    query_pictures: int
    """Pictures that were looked up."""
    unusable: tuple[tuple[str, str], ...]
    """Pictures that could not be used, and why."""
    seconds: float
    """Time for everything."""
    embedder: str
    """Embedder that was measured."""


@dataclass(frozen=True, eq=False)
class _Query:
    picture: LabelledPicture
    vectors: Sequence[Vector]


class RetrievalRun:
    """One measurement."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        regions: Regions = Regions.WHOLE,
        embedder: str = "",
        report: Callable[[str, int, int], None] = lambda stage, done, total: None,
    ) -> None:
        """Make a measurement.

        Args:
            client: how to reach the services.
            regions: what of a query picture is looked up.
            embedder: embedder by name; empty: the service's default.
            report: told of the progress: stage, done, total.
        """
        self._client = client
        self._regions = regions
        self._embedder = embedder
        self._report = report
        self._unusable: list[tuple[str, str]] = []

    async def run(self, gallery: Sequence[LabelledPicture], queries: Sequence[LabelledPicture]) -> RetrievalReport:
        """Embed both lists, put the gallery into a collection of its own for the time, and search it exactly.

        A query never finds its own file. Pictures that cannot be used are reported and left out.

        Raises:
            InvalidArgumentError: no picture of one of the lists can be used, or no query has a match.
            PicoSeekError: a service failed.
        """
        started = time.perf_counter()
        embedder = await find_embedder(self._client, self._embedder)
        async with self._collection(embedder) as name:
            listed = await self._write(name, embedder, gallery)
            ready = [query async for query in self._queries(queries)]
            if not listed or not ready:
                raise InvalidArgumentError(f"no picture of the {'queries' if listed else 'gallery'} can be used")
            hits, totals = await self._search(name, embedder, listed, ready)
        if not totals.any():
            raise InvalidArgumentError(_why_nothing_matches(listed, ready))
        return RetrievalReport(
            score_rankings(hits, (1, 5), totals),
            len(listed),
            len(ready),
            tuple(self._unusable),
            time.perf_counter() - started,
            embedder.name,
        )

    @asynccontextmanager
    async def _collection(self, embedder: ServedEmbedder) -> AsyncGenerator[str]:
        name = f"eval-{uuid.uuid4().hex[:12]}"
        index = IndexConfig("BFlat" if embedder.space.type is VectorType.BITS else "Flat")
        wanted = Collection(
            name, embedder.space, index=index, description="of a running `picoseek eval`; may be removed"
        )
        await self._client.create_collection(wanted)
        try:
            yield name
        finally:
            await self._client.delete_collection(name, allow_missing=True)

    async def _write(
        self, name: str, embedder: ServedEmbedder, gallery: Sequence[LabelledPicture]
    ) -> list[LabelledPicture]:
        """Write the gallery under the positions of its pictures and return those that could be used."""
        listed: list[LabelledPicture] = []
        waiting: list[Document] = []
        async for picture, vectors in self._whole(gallery, "gallery"):
            waiting.append(Document(str(len(listed)), vectors[0], item=readable(picture.label)))
            listed.append(picture)
            if len(waiting) == _WRITE_BATCH:
                await self._client.upsert(name, waiting, space=embedder.space.digest)
                waiting = []
        if waiting:
            await self._client.upsert(name, waiting, space=embedder.space.digest)
        return listed

    async def _queries(self, queries: Sequence[LabelledPicture]) -> AsyncIterator[_Query]:
        if self._regions is Regions.WHOLE:
            async for picture, vectors in self._whole(queries, "queries"):
                yield _Query(picture, vectors)
            return
        options = DetectEmbedOptions(embedder=self._embedder)
        async for picture, result in self._each(
            queries, "queries", lambda inputs: self._client.detect_embed(inputs, options)
        ):
            yield _Query(picture, [found.embedding.vector for found in result.objects if found.embedding])

    async def _whole(
        self, pictures: Sequence[LabelledPicture], stage: str
    ) -> AsyncIterator[tuple[LabelledPicture, list[Vector]]]:
        async for picture, result in self._each(
            pictures, stage, lambda inputs: self._client.embed(inputs, embedder=self._embedder)
        ):
            if result.embedding is not None:
                yield picture, [result.embedding.vector]

    async def _each(
        self,
        pictures: Sequence[LabelledPicture],
        stage: str,
        call: Callable[[Sequence[PictureInput]], Awaitable[Sequence[OutcomeT]]],
    ) -> AsyncIterator[tuple[LabelledPicture, OutcomeT]]:
        """Yield the pictures that can be used, in order, with what became of them."""
        results = in_batches([picture.path for picture in pictures], call)
        done = 0
        async for result in results:
            picture = pictures[done]
            done += 1
            self._report(stage, done, len(pictures))
            if isinstance(result, InvalidArgumentError):
                self._unusable.append((str(picture.path), result.message))
            else:
                yield picture, result

    async def _search(
        self,
        name: str,
        embedder: ServedEmbedder,
        gallery: Sequence[LabelledPicture],
        queries: Sequence[_Query],
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which ranks match for each query, and how many matches the gallery holds for it."""
        ranks = min(len(gallery), _MOST_RANKS)
        options = SearchOptions(k=ranks, exact=True, include=DocumentMask())
        files = {picture.path.resolve(): position for position, picture in enumerate(gallery)}
        sizes = Counter(picture.label for picture in gallery)
        hits = np.zeros((len(queries), ranks), dtype=np.bool_)
        totals = np.zeros(len(queries), dtype=np.int64)
        for number, query in enumerate(queries):
            own = files.get(query.picture.path.resolve())
            scores: dict[int, float] = {}
            for vectors in _chunks(query.vectors, max(1, _MOST_HITS // ranks)):
                found = await self._client.search(name, vectors, space=embedder.space.digest, options=options)
                sign = 1.0 if found.larger_is_closer else -1.0
                for hit in (hit for answer in found.hits for hit in answer):
                    position = int(hit.id)
                    scores[position] = max(scores.get(position, -np.inf), sign * hit.score)
            order = sorted((position for position in scores if position != own), key=lambda at: -scores[at])[:ranks]
            hits[number, : len(order)] = [gallery[position].label == query.picture.label for position in order]
            totals[number] = sizes[query.picture.label] - (
                own is not None and gallery[own].label == query.picture.label
            )
            self._report("search", number + 1, len(queries))
        return hits, totals


def _why_nothing_matches(gallery: Sequence[LabelledPicture], queries: Sequence[_Query]) -> str:
    if {picture.label for picture in gallery}.isdisjoint(query.picture.label for query in queries):
        return "no query has a picture of its class in the gallery; check that both use the same labels"
    return (
        "the gallery holds no picture of a query's class but the query itself, which does not count; "
        "give other pictures as queries, or several of a class"
    )


def _chunks(vectors: Sequence[Vector], size: int) -> Iterator[Sequence[Vector]]:
    for start in range(0, len(vectors), size):
        yield vectors[start : start + size]
