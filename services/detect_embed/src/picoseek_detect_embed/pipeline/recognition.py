"""The whole way of a picture through the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from picoseek_chassis.errors import ServiceError, deadline_exceeded, unavailable

from picoseek_detect_embed.engine.errors import BatchError, EngineLostError
from picoseek_detect_embed.models.detector import Detection
from picoseek_detect_embed.models.embedder import Vector
from picoseek_detect_embed.models.served_model import ModelState, ServedModel
from picoseek_detect_embed.pipeline.admission import Admission
from picoseek_detect_embed.pipeline.candidates import choose_candidates, clip_regions
from picoseek_detect_embed.pipeline.cropping import cut_out, encode_crop
from picoseek_detect_embed.pipeline.decoding import Decoder
from picoseek_detect_embed.pipeline.outcome import Candidate, FoundObject, PictureOutcome, Timings
from picoseek_detect_embed.pipeline.request import PictureJob
from picoseek_detect_embed.pipeline.ticket import Ticket

Deliver = Callable[[FoundObject], Awaitable[None]]
"""Takes an object as soon as it is finished; objects of a picture come in no particular order."""


class Recognition:
    """Takes pictures in, hands objects out. Pictures of all calls and streams share its queues."""

    def __init__(
        self, decoder: Decoder, pool: Executor, pictures: Admission, crops: Admission, start_wait_s: float
    ) -> None:
        """Put the parts together.

        Args:
            decoder: from bytes to pixels.
            pool: threads for encoding crops.
            pictures: counts pictures under way.
            crops: counts crops under way.
            start_wait_s: longest wait of a picture for the first ready engine of a model.
        """
        self._decoder = decoder
        self._pool = pool
        self._pictures = pictures
        self._crops = crops
        self._start_wait_s = start_wait_s

    def admit(self, jobs: Sequence[PictureJob]) -> list[Ticket]:
        """Take the pictures of a call on, all or none.

        Args:
            jobs: pictures with the same models.

        Returns:
            A ticket each, to be closed when the picture is done.

        Raises:
            ServiceError: OVERLOADED.
        """
        if not jobs:
            return []
        detector, embedder = jobs[0].options.detector, jobs[0].options.embedder
        self._pictures.admit(len(jobs), detector.model.delay_s(1) if detector else 0.0)
        try:
            known_crops = sum(job.known_crops for job in jobs)
            self._crops.admit(known_crops, embedder.model.delay_s(1) if embedder else 0.0)
        except ServiceError:
            self._pictures.release(len(jobs))
            raise
        return [Ticket(self._pictures, self._crops, job.known_crops) for job in jobs]

    async def admit_in_turn(self, job: PictureJob) -> Ticket:
        """Take a picture on as soon as there is room, and return its ticket, to be closed when the picture is done."""
        await self._pictures.admit_in_turn(1)
        try:
            await self._crops.admit_in_turn(job.known_crops)
        except asyncio.CancelledError:
            self._pictures.release(1)
            raise
        return Ticket(self._pictures, self._crops, job.known_crops)

    async def process(self, job: PictureJob, ticket: Ticket, deliver: Deliver) -> PictureOutcome:
        """Work on an admitted picture.

        Args:
            job: the picture and what to do with it.
            ticket: from `admit`.
            deliver: takes its objects.

        Raises:
            ServiceError: the picture cannot be used, an engine failed, or the deadline passed. Objects that were
                delivered before are right all the same.
        """
        try:
            async with asyncio.timeout_at(job.deadline):
                return await self._process(job, ticket, deliver)
        except TimeoutError as error:
            raise deadline_exceeded("the picture was not done by the deadline") from error

    async def _process(self, job: PictureJob, ticket: Ticket, deliver: Deliver) -> PictureOutcome:
        loop = asyncio.get_running_loop()
        timings = Timings()
        for stage in (job.options.detector, job.options.embedder):
            if stage is not None:
                await self._wait_ready(stage.model)
        async with self._decoder.decoded(job.source) as (picture, decode_s):
            timings.decode = decode_s
            height, width = picture.shape[:2]
            regions = clip_regions(job.regions, width, height)
            detections = await self._detect(job, picture, timings)
            candidates = choose_candidates(regions, detections, job.options.whole, width, height)
            if job.options.embedder is not None:
                ticket.raise_crops(len(candidates))
            shared = replace(timings)

            async def finish(candidate: Candidate) -> None:
                found = await self._finish(job, picture, candidate, replace(shared))
                timings.keep_slowest(found.timings)
                await deliver(found)

            await _together(finish(candidate) for candidate in candidates)
        timings.total = loop.time() - job.arrived_at
        return PictureOutcome(width, height, len(candidates), timings)

    async def _wait_ready(self, model: ServedModel) -> None:
        if model.state is ModelState.READY:
            return
        if model.state is ModelState.LOADING:
            try:
                async with asyncio.timeout(self._start_wait_s):
                    await model.wait_ready()
                return
            except TimeoutError:
                pass
        raise unavailable(
            "ENGINE_STARTING",
            f"no engine of model {model.name!r} is ready; send again after the delay",
            retry_after_s=model.restart_s,
            model=model.name,
        )

    async def _detect(self, job: PictureJob, picture: NDArray[np.uint8], timings: Timings) -> list[Detection]:
        detector, options = job.options.detector, job.options
        if detector is None:
            return []
        with _engine_errors(detector.model):
            detections, inference = await detector.detect(
                picture, options.score_threshold, options.max_detections, job.deadline
            )
        timings.detect_preprocess = inference.preprocess_s
        timings.detect_queue = inference.queue_s
        timings.detect = inference.engine_s
        return detections

    async def _finish(
        self, job: PictureJob, picture: NDArray[np.uint8], candidate: Candidate, timings: Timings
    ) -> FoundObject:
        loop = asyncio.get_running_loop()
        embedder, form = job.options.embedder, job.options.crop
        pixels = cut_out(picture, candidate.box)
        encoding = None if form is None else loop.run_in_executor(self._pool, encode_crop, pixels, form)
        vector: Vector | None = None
        if embedder is not None:
            with _engine_errors(embedder.model):
                vector, inference = await embedder.embed(pixels, job.deadline)
            timings.embed_preprocess = inference.preprocess_s
            timings.embed_queue = inference.queue_s
            timings.embed = inference.engine_s
        crop = None
        if encoding is not None:
            crop, timings.crop = await encoding
        timings.total = loop.time() - job.arrived_at
        return FoundObject(candidate, vector, crop, timings)


@contextmanager
def _engine_errors(model: ServedModel) -> Generator[None]:
    try:
        yield
    except EngineLostError as error:
        raise unavailable(
            "ENGINE_LOST",
            f"an engine of model {model.name!r} was lost with this picture; send it again after the delay",
            retry_after_s=model.restart_s,
            model=model.name,
        ) from error
    except BatchError as error:
        raise ServiceError(
            grpc.StatusCode.INTERNAL,
            "ENGINE_FAILED",
            f"model {model.name!r} failed on this picture; the service's log has the cause",
            metadata={"model": model.name},
        ) from error


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run to the end, or to the first failure, which is raised when the others are cancelled."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
