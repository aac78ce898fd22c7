"""DetectEmbedService: calls with a bounded number of pictures, and models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import grpc.aio
from picoseek_chassis.errors import ServiceError, invalid_argument, not_found, resource_exhausted, to_status
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc, model_pb2

from picoseek_detect_embed.models.catalogue import Catalogue
from picoseek_detect_embed.pipeline.outcome import FoundObject, PictureOutcome
from picoseek_detect_embed.pipeline.recognition import Recognition
from picoseek_detect_embed.pipeline.request import PictureJob, RecognitionOptions, WholePolicy
from picoseek_detect_embed.pipeline.ticket import Ticket
from picoseek_detect_embed.transport.answers import embedding_message, object_message, timings_message
from picoseek_detect_embed.transport.limits import CallLimits
from picoseek_detect_embed.transport.model_messages import model_message, page_of_models
from picoseek_detect_embed.transport.requests import read_options, read_picture, read_regions
from picoseek_detect_embed.transport.stream import StreamSession

if TYPE_CHECKING:
    _Context = grpc.aio.ServicerContext[Any, Any]

_Outcome = tuple[PictureOutcome, list[FoundObject]] | ServiceError


class DetectEmbedServicer(detect_embed_service_pb2_grpc.DetectEmbedServiceServicer):
    """Reads requests, has the pipeline do the work, writes answers."""

    def __init__(self, catalogue: Catalogue, recognition: Recognition, limits: CallLimits) -> None:
        self._catalogue = catalogue
        self._recognition = recognition
        self._limits = limits
        self._streams = 0

    async def DetectEmbed(  # noqa: N802
        self, request: detect_embed_pb2.DetectEmbedRequest, context: _Context
    ) -> detect_embed_pb2.DetectEmbedResponse:
        """Find the objects of one or more pictures and embed them."""
        self._check_count(len(request.pictures))
        options = read_options(request.options, self._catalogue, self._limits)
        arrived_at, deadline = self._times(context)

        def job(position: int) -> PictureJob:
            item = request.pictures[position]
            regions = read_regions(item.regions, self._limits)
            return PictureJob(read_picture(item.picture), regions, options, arrived_at, deadline)

        outcomes = await self._process(len(request.pictures), job)
        response = detect_embed_pb2.DetectEmbedResponse()
        for position, (item, outcome) in enumerate(zip(request.pictures, outcomes, strict=True)):
            result = response.results.add(id=item.id or str(position))
            if isinstance(outcome, ServiceError):
                result.status.CopyFrom(to_status(outcome))
                continue
            picture, objects = outcome
            result.width, result.height = picture.width, picture.height
            result.objects.extend(map(object_message, objects))
            result.timings.CopyFrom(timings_message(picture.timings))
        return response

    async def Embed(  # noqa: N802
        self, request: detect_embed_pb2.EmbedRequest, context: _Context
    ) -> detect_embed_pb2.EmbedResponse:
        """Embed pictures that are crops already."""
        self._check_count(len(request.pictures))
        options = RecognitionOptions(
            detector=None,
            embedder=self._catalogue.embedder(request.embedder),
            score_threshold=0.0,
            max_detections=0,
            whole=WholePolicy.ALWAYS,
            crop=None,
        )
        arrived_at, deadline = self._times(context)

        def job(position: int) -> PictureJob:
            return PictureJob(read_picture(request.pictures[position].picture), (), options, arrived_at, deadline)

        outcomes = await self._process(len(request.pictures), job)
        response = detect_embed_pb2.EmbedResponse()
        for position, (item, outcome) in enumerate(zip(request.pictures, outcomes, strict=True)):
            result = response.results.add(id=item.id or str(position))
            if isinstance(outcome, ServiceError):
                result.status.CopyFrom(to_status(outcome))
                continue
            picture, (found,) = outcome
            assert found.vector is not None
            result.embedding.CopyFrom(embedding_message(found.vector))
            result.timings.CopyFrom(timings_message(picture.timings))
        return response

    async def StreamDetectEmbed(  # noqa: N802
        self,
        request_iterator: AsyncIterator[detect_embed_pb2.StreamDetectEmbedRequest],
        context: _Context,
    ) -> AsyncIterator[detect_embed_pb2.StreamDetectEmbedResponse]:
        """Work on frames and send each object as it is finished."""
        if self._streams >= self._limits.max_streams:
            raise resource_exhausted(
                "OVERLOADED",
                f"{self._streams} streams are open, which is the limit; open one after the delay",
                retry_after_s=1.0,
                limit=str(self._limits.max_streams),
            )
        self._streams += 1
        try:
            remaining = _time_remaining(context)
            deadline = None if remaining is None else asyncio.get_running_loop().time() + remaining
            session = StreamSession(self._catalogue, self._recognition, self._limits, deadline)
            async for response in session.run(request_iterator):
                yield response
        finally:
            self._streams -= 1

    async def ListModels(  # noqa: N802
        self, request: model_pb2.ListModelsRequest, context: _Context
    ) -> model_pb2.ListModelsResponse:
        """List the models that the service serves."""
        page, token = page_of_models(self._catalogue.models, request)
        return model_pb2.ListModelsResponse(
            models=[model_message(served, self._catalogue) for served in page], next_page_token=token
        )

    async def GetModel(  # noqa: N802
        self, request: model_pb2.GetModelRequest, context: _Context
    ) -> model_pb2.GetModelResponse:
        """Describe one model."""
        for served in self._catalogue.models:
            if served.model.name == request.name:
                return model_pb2.GetModelResponse(model=model_message(served, self._catalogue))
        names = ", ".join(served.model.name for served in self._catalogue.models)
        raise not_found(
            "MODEL_NOT_FOUND", f"there is no model {request.name!r}; there are: {names}", model=request.name
        )

    def _check_count(self, pictures: int) -> None:
        if pictures == 0:
            raise invalid_argument("REQUEST_EMPTY", "the call holds no picture; send at least one")
        if pictures > self._limits.max_pictures:
            raise invalid_argument(
                "TOO_MANY_PICTURES",
                f"the call holds {pictures} pictures, the limit is {self._limits.max_pictures}; split it",
                pictures=str(pictures),
                limit=str(self._limits.max_pictures),
            )

    def _times(self, context: _Context) -> tuple[float, float]:
        """Return now and the call's deadline, by the event loop's clock."""
        now = asyncio.get_running_loop().time()
        remaining = _time_remaining(context)
        return now, now + (self._limits.default_timeout_s if remaining is None else remaining)

    async def _process(self, pictures: int, make_job: Callable[[int], PictureJob]) -> list[_Outcome]:
        """Return what became of each picture; a failure of a single one is raised instead."""
        outcomes: list[_Outcome | PictureJob] = []
        for position in range(pictures):
            try:
                outcomes.append(make_job(position))
            except ServiceError as error:
                outcomes.append(error)
        jobs = [item for item in outcomes if isinstance(item, PictureJob)]
        tickets = self._recognition.admit(jobs)
        done = iter(await _run_all(map(self._process_one, jobs, tickets), tickets))
        results = [next(done) if isinstance(item, PictureJob) else item for item in outcomes]
        if pictures == 1 and isinstance(results[0], ServiceError):
            raise results[0]
        return results

    async def _process_one(self, job: PictureJob, ticket: Ticket) -> _Outcome:
        objects: list[FoundObject] = []

        async def deliver(found: FoundObject) -> None:
            objects.append(found)

        try:
            outcome = await self._recognition.process(job, ticket, deliver)
        except ServiceError as error:
            return error
        objects.sort(key=lambda found: found.candidate.index)
        return outcome, objects


def _time_remaining(context: _Context) -> float | None:
    # None without a deadline, although the type stubs leave that out.
    return context.time_remaining()


async def _run_all(work: Iterable[Coroutine[Any, Any, _Outcome]], tickets: Sequence[Ticket]) -> list[_Outcome]:
    """Run to the end; when the call is cancelled, so is its work. The tickets are closed in any case."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for ticket in tickets:
            ticket.close()
