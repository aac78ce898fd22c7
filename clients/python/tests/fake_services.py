"""Both services in this process: small, in memory, and able to fail on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import numpy as np
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from picoseek import ConnectionConfig, RetryConfig
from picoseek_protos.v1 import (
    collection_pb2,
    collection_service_pb2_grpc,
    detect_embed_pb2,
    detect_embed_service_pb2_grpc,
    embedding_pb2,
    model_pb2,
    object_pb2,
    search_pb2,
    search_service_pb2_grpc,
)

SPACE = embedding_pb2.EmbeddingSpace(digest="sha256:fake", dimension=4, metric=embedding_pb2.METRIC_COSINE)
OTHER_SPACE = embedding_pb2.EmbeddingSpace(digest="sha256:other", dimension=4, metric=embedding_pb2.METRIC_COSINE)
_SPACES = {"": SPACE, "fake": SPACE, "other": OTHER_SPACE}
"""Of embedders by name; the empty name is the default's."""
BAD = b"bad"
_BLACK = 32
"""Greatest value of a frame of pixels that is black."""


def refusal(code: grpc.StatusCode, reason: str, retry_after_s: float | None = None) -> status_pb2.Status:
    """Return a status as the services send it."""
    status = status_pb2.Status(code=code.value[0], message=f"refused: {reason}")
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=reason, domain="picoseek", metadata={"key": "value"})]
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(retry_after_s * 1000))
        details.append(retry)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


class Trouble:
    """Statuses with which the next calls are answered instead, and what was called."""

    def __init__(self) -> None:
        self.coming: deque[status_pb2.Status] = deque()
        self.requests: list[Any] = []

    async def strike(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        assert context.time_remaining() is not None, "every call has a deadline"
        if self.coming:
            status = self.coming.popleft()
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            await context.abort(code, status.message, (("grpc-status-details-bin", status.SerializeToString()),))


def vector_of(data: bytes) -> bytes:
    """Return the unit vector of a picture: its first byte names the axis."""
    vector = np.full(4, 0.1, dtype="<f4")
    vector[data[0] % 4] = 1.0
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def _embedding(data: bytes, embedder: str) -> embedding_pb2.Embedding:
    return embedding_pb2.Embedding(
        vector=vector_of(data), type=embedding_pb2.VECTOR_TYPE_FLOAT32, dimension=4, space=_SPACES[embedder].digest
    )


class FakeDetectEmbed(detect_embed_service_pb2_grpc.DetectEmbedServiceServicer):
    """Every picture holds one object; the picture `BAD` cannot be decoded."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    async def DetectEmbed(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        return detect_embed_pb2.DetectEmbedResponse(
            results=[
                detect_embed_pb2.PictureResult(
                    id=entry.id or str(position),
                    width=8,
                    height=6,
                    objects=[_object(entry.picture.encoded, request.options.embedder)],
                )
                for position, entry in enumerate(request.pictures)
            ]
        )

    async def Embed(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        refused = refusal(grpc.StatusCode.INVALID_ARGUMENT, "PICTURE_UNDECODABLE")
        return detect_embed_pb2.EmbedResponse(
            results=[
                detect_embed_pb2.EmbedResult(id=entry.id, status=refused)
                if entry.picture.encoded == BAD
                else detect_embed_pb2.EmbedResult(
                    id=entry.id, embedding=_embedding(entry.picture.encoded, request.embedder)
                )
                for entry in request.pictures
            ]
        )

    async def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        models = [
            model_pb2.Model(
                name=name,
                task=model_pb2.MODEL_TASK_EMBEDDING,
                state=model_pb2.MODEL_STATE_READY,
                is_default=name == "fake",
                space=space,
            )
            for name, space in _SPACES.items()
            if name
        ]
        return model_pb2.ListModelsResponse(models=models)

    async def StreamDetectEmbed(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer frames in pairs, the later one first; a frame `BAD`, or a black one, fails and ends nothing."""
        waiting: list[Any] = []
        embedder = ""
        async for message in request_iterator:
            if message.WhichOneof("message") == "config":
                embedder = message.config.options.embedder
            if message.WhichOneof("message") == "frame":
                waiting.append(message.frame)
            if len(waiting) == 2:
                for frame in reversed(waiting):
                    for answer in _frame_answers(frame, embedder):
                        yield answer
                waiting = []
        for frame in waiting:
            for answer in _frame_answers(frame, embedder):
                yield answer


def _frame_answers(frame: Any, embedder: str) -> list[Any]:
    response = detect_embed_pb2.StreamDetectEmbedResponse
    done = detect_embed_pb2.FrameDone(frame_id=frame.frame_id, width=8, height=6, objects=1)
    pixels = frame.picture.raw.data
    data = frame.picture.encoded or pixels
    if data == BAD or (pixels and max(pixels) < _BLACK):
        done.status.CopyFrom(refusal(grpc.StatusCode.INVALID_ARGUMENT, "PICTURE_UNDECODABLE"))
        return [response(frame_done=done)]
    found = detect_embed_pb2.ObjectResult(frame_id=frame.frame_id, object=_object(data, embedder))
    return [response(object=found), response(frame_done=done)]


def _object(data: bytes, embedder: str) -> object_pb2.Object:
    found = object_pb2.Object(
        source=object_pb2.OBJECT_SOURCE_DETECTED, detector_score=0.9, embedding=_embedding(data, embedder)
    )
    found.box.x2, found.box.y2 = 8, 6
    return found


class FakeSearch(search_service_pb2_grpc.SearchServiceServicer, collection_service_pb2_grpc.CollectionServiceServicer):
    """One collection with one document an item."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self.documents: dict[str, Any] = {}
        self.collection: Any = None

    async def CreateCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        self.collection = request.collection
        return collection_pb2.CreateCollectionResponse(collection=self.collection, created=True)

    async def GetCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        if self.collection is None:
            self._trouble.coming.append(refusal(grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND"))
            await self._trouble.strike(request, context)
        return collection_pb2.GetCollectionResponse(collection=self.collection)

    async def UpdateCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        del self.collection.schema[:]
        self.collection.schema.extend(request.collection.schema)
        return collection_pb2.UpdateCollectionResponse(collection=self.collection)

    async def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        self.documents |= {document.id: document for document in request.documents}
        return search_pb2.UpsertResponse(inserted=len(request.documents), request_id=request.request_id)

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        there = [self.documents[name] for name in request.ids if name in self.documents]
        return search_pb2.GetResponse(documents=there)

    async def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        return search_pb2.CountResponse(documents=len(self.documents))

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return one document a page."""
        await self._trouble.strike(request, context)
        ids = sorted(self.documents)
        position = int(request.page_token or 0)
        following = str(position + 1) if position + 1 < len(ids) else ""
        return search_pb2.ListResponse(
            documents=[self.documents[name] for name in ids[position : position + 1]], next_page_token=following
        )

    async def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._trouble.strike(request, context)
        if self.collection and request.space != self.collection.space.digest:
            self._trouble.coming.append(refusal(grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDING_SPACE_MISMATCH"))
            await self._trouble.strike(request, context)
        queries = np.frombuffer(request.vectors, "<f4").reshape(request.queries, -1)
        response = search_pb2.SearchResponse(offsets=[0], larger_is_closer=True)
        response.collection = self.collection.name if self.collection else request.collection
        scores: list[float] = []
        for query in queries:
            ranked = sorted(
                (
                    (float(query @ np.frombuffer(document.vector, "<f4")), document)
                    for document in self.documents.values()
                ),
                key=lambda pair: -pair[0],
            )[: request.k]
            scores += [score for score, _ in ranked]
            response.ids.extend(document.id for _, document in ranked)
            response.items.extend(document.item for _, document in ranked)
            response.documents.extend(document for _, document in ranked)
            response.offsets.append(len(scores))
        response.scores = np.array(scores, "<f4").tobytes()
        return response


class FakeServices:
    """A server with both services, and how to reach it."""

    def __init__(self, address: str, trouble: Trouble, search: FakeSearch) -> None:
        self.trouble = trouble
        self.search = search
        self.config = ConnectionConfig(
            detect_embed=address, search=address, timeout_s=5.0, retry=RetryConfig(initial_backoff_s=0.01)
        )


@asynccontextmanager
async def fake_services() -> AsyncIterator[FakeServices]:
    """Serve both on a free port."""
    trouble = Trouble()
    search = FakeSearch(trouble)
    server = grpc.aio.server()
    detect_embed_service_pb2_grpc.add_DetectEmbedServiceServicer_to_server(FakeDetectEmbed(trouble), server)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(search, server)
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(search, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield FakeServices(f"127.0.0.1:{port}", trouble, search)
    finally:
        await server.stop(0)
