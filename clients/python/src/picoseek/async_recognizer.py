"""Pictures in, names out: both services joined, for asyncio."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from picoseek.answer_policy import AnswerPolicy
from picoseek.async_client import AsyncClient
from picoseek.collection import Collection
from picoseek.deadline import Deadline
from picoseek.detect_embed import DetectEmbedOptions, PictureResult, WholePicture
from picoseek.document import DocumentMask
from picoseek.embedding import Embedding, Metric
from picoseek.errors import FailedPreconditionError, InvalidArgumentError
from picoseek.frame_recognitions import recognize_frames
from picoseek.picture import PictureInput, PictureSource
from picoseek.picture_object import PictureObject
from picoseek.recognition import Candidate, FrameRecognition, Recognition, RecognizedObject
from picoseek.search import Hit, SearchOptions, SearchResult
from picoseek.served_embedder import find_embedder_of
from picoseek.stranger_scores import measure_stranger_scores
from picoseek.stream import Frame, FramePolicy, StreamOptions
from picoseek.threshold import derive_threshold

THRESHOLD_OF_TINY_GALLERIES = 0.5
"""Cosine from which on an item is the answer where the gallery is too small to derive it, as in PP-ShiTu."""

_SPACE_MISMATCH = "EMBEDDING_SPACE_MISMATCH"


@dataclass(frozen=True)
class RecognizerConfig:
    """How pictures are recognised."""

    threshold: float | None = None
    """Score from which on an item is the answer, in the gallery's metric; None: derived from the gallery."""
    candidates: int = 5
    """Nearest items to return for an object."""
    detect_embed: DetectEmbedOptions = field(
        default_factory=lambda: DetectEmbedOptions(whole_picture=WholePicture.ALWAYS)
    )
    """How objects are found; without a named embedder by the one that the gallery was made with.

    The whole picture is looked up too, for objects that the detector misses.
    """
    answers: AnswerPolicy = field(default_factory=AnswerPolicy)
    """Which of several answers about one place stays."""
    filter: str = ""
    """Only documents that meet it, see SearchOptions.filter."""
    exact: bool = False
    """Compare with every vector: exact, slower."""
    false_accept_rate: float | None = None
    """Ask the search service for a verdict on each object at this rate; what is known still goes by the threshold."""
    explain: bool = False
    """Ask why the nearest item of each object is the nearest."""

    def __post_init__(self) -> None:
        """Check the threshold.

        Raises:
            InvalidArgumentError: it is NaN, with which nothing can be compared.
        """
        if self.threshold is not None and math.isnan(self.threshold):
            raise InvalidArgumentError("threshold is NaN; give a number or leave it out")


class AsyncRecognizer:
    """Recognises what is in pictures by looking it up in a gallery.

    It finds the objects of a picture, searches for each, and answers with what is close enough. The threshold is
    derived from the gallery when it is first needed (see `picoseek.threshold`) and kept; `refresh` derives it anew
    after the gallery has changed much.
    """

    def __init__(self, gallery: str, client: AsyncClient, config: RecognizerConfig | None = None) -> None:
        """Make a recogniser.

        Args:
            gallery: name of the collection, or an alias of it; a derived threshold and the embedder follow the alias.
            client: how to reach the services; it stays the caller's to close.
            config: how to recognise.
        """
        self.gallery = gallery
        self.client = client
        self.config = config or RecognizerConfig()
        self._threshold = self.config.threshold
        self._derived_from = ""
        self._deriving = asyncio.Lock()
        self._detect_embed: DetectEmbedOptions | None = None
        self._choosing = asyncio.Lock()

    async def recognize(self, picture: PictureInput | PictureSource, *, timeout_s: float | None = None) -> Recognition:
        """Recognise what is in a picture.

        Args:
            picture: the picture.
            timeout_s: seconds for everything together; None: the client's default.

        Raises:
            PicoSeekError: the picture is bad, a service failed, or the time was over.
        """
        (answer,) = await self.recognize_many([picture], timeout_s=timeout_s)
        return answer

    async def recognize_many(
        self, pictures: Sequence[PictureInput | PictureSource], *, timeout_s: float | None = None
    ) -> list[Recognition]:
        """Recognise what is in some pictures, at most as many as detect_embed takes in a call (32 by default).

        Returns:
            One answer a picture, in order. A bad picture among several is an `error` in its answer.

        Raises:
            PicoSeekError: a service failed, or the time was over; with a single picture also when it is bad.
        """
        deadline = self._deadline(timeout_s)
        threshold = await self._ready_threshold(deadline)
        options = await self._ready_detect_embed(deadline)
        try:
            return await self._look_at(pictures, options, threshold, deadline)
        except FailedPreconditionError as error:
            if error.reason != _SPACE_MISMATCH:
                raise
            chosen_anew = await self._ready_detect_embed(deadline)
            if chosen_anew == options:
                raise
        return await self._look_at(pictures, chosen_anew, threshold, deadline)

    async def recognize_stream(
        self,
        frames: Iterable[Frame] | AsyncIterable[Frame],
        *,
        policy: FramePolicy = FramePolicy.EVERY_FRAME,
        max_in_flight: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[FrameRecognition]:
        """Recognise what is in the frames of a stream.

        Args:
            frames: the frames, numbered upwards; taken no faster than the service reads them.
            policy: what happens to frames that come faster than they are worked off.
            max_in_flight: frames that detect_embed works on at once; 0: its default.
            timeout_s: seconds for the search of a frame, and longest silence while frames are under way.

        Yields:
            One answer a frame, in the order in which they were sent.

        Raises:
            PicoSeekError: the stream as a whole failed.
        """
        threshold = await self._ready_threshold(self._deadline(timeout_s))

        async def answer(result: PictureResult) -> Recognition:
            (recognition,) = await self._answer([result], threshold, self._deadline(timeout_s))
            return recognition

        detect_embed = await self._ready_detect_embed(self._deadline(timeout_s))
        options = StreamOptions(detect_embed, policy, max_in_flight)
        async for recognized in recognize_frames(self.client, frames, options, answer, idle_timeout_s=timeout_s):
            yield recognized

    async def threshold(self, *, timeout_s: float | None = None) -> float:
        """Return the score from which on an item is the answer, derived from the gallery if none was configured."""
        return await self._ready_threshold(self._deadline(timeout_s))

    async def refresh(self, *, timeout_s: float | None = None) -> float:
        """Derive the threshold anew from the gallery as it is now, and return it; a configured one stays."""
        self._threshold = self.config.threshold
        return await self._ready_threshold(self._deadline(timeout_s))

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline.after(self.client.config.timeout_s if timeout_s is None else timeout_s)

    async def _ready_detect_embed(self, deadline: Deadline) -> DetectEmbedOptions:
        options = self.config.detect_embed
        if options.embedder or options.skip_embedding:
            return options
        async with self._choosing:
            if self._detect_embed is None:
                collection = await self.client.get_collection(
                    self.gallery, timeout_s=deadline.require("the gallery's embedder was chosen")
                )
                embedder = await find_embedder_of(
                    self.client, collection, timeout_s=deadline.require("the gallery's embedder was chosen")
                )
                self._detect_embed = replace(options, embedder=embedder.name)
            return self._detect_embed

    async def _ready_threshold(self, deadline: Deadline) -> float:
        async with self._deriving:
            if self._threshold is None:
                self._threshold = await self._derive(deadline)
            return self._threshold

    async def _threshold_of(self, collection: str, deadline: Deadline) -> float:
        async with self._deriving:
            # An alias may have been moved, and scores of one gallery say nothing about another one's.
            if self._threshold is None or collection != self._derived_from:
                self._threshold = await self._derive(deadline)
            return self._threshold

    async def _derive(self, deadline: Deadline) -> float:
        collection = await self.client.get_collection(
            self.gallery, timeout_s=deadline.require("the gallery was measured")
        )
        self._derived_from = collection.name
        measured = await measure_stranger_scores(self.client, collection.name, collection.space, deadline)
        derived = derive_threshold(measured.scores, measured.self_score, measured.larger_is_closer)
        return _of_tiny_gallery(collection) if derived is None else derived

    async def _look_at(
        self,
        pictures: Sequence[PictureInput | PictureSource],
        options: DetectEmbedOptions,
        threshold: float,
        deadline: Deadline,
    ) -> list[Recognition]:
        results = await self.client.detect_embed(
            pictures, options, timeout_s=deadline.require("the pictures were looked at")
        )
        return await self._answer(results, threshold, deadline)

    async def _answer(
        self, results: Sequence[PictureResult], threshold: float, deadline: Deadline
    ) -> list[Recognition]:
        embedded = [(found, found.embedding) for result in results for found in result.objects if found.embedding]
        started = time.perf_counter()
        found: SearchResult | None = None
        if embedded:
            found = await self._search([embedding for _, embedding in embedded], deadline)
            if self.config.threshold is None and found.collection:
                threshold = await self._threshold_of(found.collection, deadline)
        search_us = round((time.perf_counter() - started) * 1e6)
        larger_is_closer = found.larger_is_closer if found else True
        hits = iter(found.hits if found else ())
        verdicts = iter(found.verdicts if found else ())
        explanations = iter(found.explanations if found else ())
        answers: list[Recognition] = []
        for result in results:
            objects = [
                replace(
                    _recognized(seen, next(hits), threshold, larger_is_closer),
                    verdict=next(verdicts, None),
                    explanation=next(explanations, None),
                )
                for seen in result.objects
                if seen.embedding
            ]
            answers.append(
                Recognition(
                    id=result.id,
                    width=result.width,
                    height=result.height,
                    objects=self.config.answers.choose(objects, larger_is_closer),
                    threshold=threshold,
                    timings=result.timings,
                    search_us=search_us,
                    error=result.error,
                )
            )
        return answers

    async def _search(self, embeddings: Sequence[Embedding], deadline: Deadline) -> SearchResult:
        options = SearchOptions(
            k=self.config.candidates,
            filter=self.config.filter,
            max_per_item=1,
            exact=self.config.exact,
            include=DocumentMask(labels=True),
            false_accept_rate=self.config.false_accept_rate,
            explain=self.config.explain,
        )
        try:
            return await self.client.search(
                self.gallery,
                [embedding.vector for embedding in embeddings],
                space=embeddings[0].space,
                options=options,
                timeout_s=deadline.require("the gallery was searched"),
            )
        except FailedPreconditionError as error:
            if error.reason == _SPACE_MISMATCH:
                self._detect_embed = None  # An alias may have been moved to a gallery of another embedder.
            raise


def _recognized(seen: PictureObject, hits: Sequence[Hit], threshold: float, larger_is_closer: bool) -> RecognizedObject:
    best = hits[0].score if hits else None
    close = best is not None and (best >= threshold if larger_is_closer else best <= threshold)
    return RecognizedObject(
        box=seen.box,
        source=seen.source,
        detector_score=seen.detector_score,
        known=close,
        candidates=tuple(Candidate(hit.id, hit.item, hit.document.label, hit.score) for hit in hits),
        region_id=seen.region_id,
        track_id=seen.track_id,
        crop=seen.crop,
    )


def _of_tiny_gallery(collection: Collection) -> float:
    metric = collection.metric or collection.space.metric or Metric.COSINE
    if metric is Metric.COSINE or (metric is Metric.INNER_PRODUCT and collection.space.normalized):
        return THRESHOLD_OF_TINY_GALLERIES
    if metric is Metric.L2 and collection.space.normalized:
        return 2 - 2 * THRESHOLD_OF_TINY_GALLERIES  # the squared distance of unit vectors with this cosine
    if metric is Metric.HAMMING:
        return collection.space.dimension * (1 - THRESHOLD_OF_TINY_GALLERIES) / 2
    raise FailedPreconditionError(
        f"gallery {collection.name!r} has too few items to derive a threshold for {metric.value}; configure one",
        reason="THRESHOLD_UNKNOWN",
    )
