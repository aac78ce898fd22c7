"""The client of both services, for asyncio."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_protos.v1 import collection_pb2, model_pb2, operation_pb2, search_pb2, snapshot_pb2

from picoseek.collection import Alias, AttributeField, Collection, CollectionUpdate, IndexConfig, Revision
from picoseek.connection import ConnectionConfig
from picoseek.deadline import Deadline
from picoseek.detect_embed import DetectEmbedOptions, EmbedResult, PictureResult
from picoseek.document import CountResult, DeleteResult, Document, DocumentMask, GetResult, UpsertResult
from picoseek.embedding import Vector
from picoseek.errors import InvalidArgumentError
from picoseek.frame_stream import FrameStream
from picoseek.index_state import IndexState
from picoseek.model import Model
from picoseek.operation import Operation
from picoseek.picture import PictureInput, PictureSource
from picoseek.search import SearchOptions, SearchResult
from picoseek.snapshot import Snapshot
from picoseek.stream import Frame, StreamAnswer, StreamOptions
from picoseek.stubs import Stubs
from picoseek.unary_call import UnaryCaller
from picoseek.verdict import SearchQuality
from picoseek.wire.detections import (
    detect_embed_request,
    embed_request,
    embed_result_from,
    model_from,
    picture_result_from,
)
from picoseek.wire.galleries import (
    collection_from,
    collection_message,
    document_messages,
    documents_from,
    index_message,
    index_state_from,
    mask_message,
    revision_from,
    revision_message,
    schema_messages,
    search_request,
    search_result_from,
)
from picoseek.wire.messages import make
from picoseek.wire.operations import operation_from
from picoseek.wire.pictures import as_inputs
from picoseek.wire.snapshots import snapshot_from
from picoseek.wire.verdicts import search_quality_from

_PAGE = 1000
_WAIT_S = 30.0
_REPORT_EVERY_S = 0.5
_DETECT_EMBED = "detect_embed"
_SEARCH = "search"
_ALL_BUT_VECTOR = DocumentMask(labels=True, attributes=True, payload=True, provenance=True)


class AsyncClient:
    """Calls detect_embed and search.

    Every call has a deadline, `timeout_s` or that of the configuration, which its retries share. Errors are
    children of PicoSeekError. It connects when it is first used and may be used by many tasks at a time, of one
    event loop.
    """

    def __init__(self, config: ConnectionConfig | None = None) -> None:
        """Make a client; nothing is connected yet."""
        self.config = config or ConnectionConfig()
        self._open: Stubs | None = None
        self._see = self._caller(_DETECT_EMBED, self.config.detect_embed)
        self._find = self._caller(_SEARCH, self.config.search)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls under way are cancelled."""
        stubs, self._open = self._open, None
        if stubs is not None:
            await stubs.close()

    async def detect_embed(
        self,
        pictures: Sequence[PictureInput | PictureSource],
        options: DetectEmbedOptions | None = None,
        *,
        timeout_s: float | None = None,
    ) -> list[PictureResult]:
        """Find the objects of one or more pictures and embed them.

        Args:
            pictures: the pictures, at most as many as the service allows (32 by default).
            options: what to do with them.
            timeout_s: seconds for the call.

        Returns:
            One result a picture, in the order of the call. A bad picture among several is an `error` in its result.

        Raises:
            PicoSeekError: the call failed; with a single picture also when that picture is bad.
        """
        inputs = as_inputs(pictures)
        request = await asyncio.to_thread(detect_embed_request, inputs, options or DetectEmbedOptions())
        response = await self._see(self._stubs.detect_embed.DetectEmbed, request, timeout_s)
        return [picture_result_from(result) for result in response.results]

    async def embed(
        self,
        pictures: Sequence[PictureInput | PictureSource],
        *,
        embedder: str = "",
        timeout_s: float | None = None,
    ) -> list[EmbedResult]:
        """Embed pictures whole.

        Args:
            pictures: the pictures, at most as many as the service allows (32 by default); regions are passed over.
            embedder: embedder by name; empty: the service's default.
            timeout_s: seconds for the call.

        Returns:
            One result a picture, in the order of the call. A bad picture among several is an `error` in its result.

        Raises:
            PicoSeekError: the call failed; with a single picture also when that picture is bad.
        """
        inputs = as_inputs(pictures)
        request = await asyncio.to_thread(embed_request, inputs, embedder)
        response = await self._see(self._stubs.detect_embed.Embed, request, timeout_s)
        return [embed_result_from(result) for result in response.results]

    async def stream_detect_embed(
        self,
        frames: Iterable[Frame] | AsyncIterable[Frame],
        options: StreamOptions | None = None,
        *,
        idle_timeout_s: float | None = None,
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Find and embed the objects of a stream of frames; each answer comes as soon as it is ready.

        Args:
            frames: the frames; taken no faster than the service reads them. A synchronous source may block.
            options: what to do with them.
            idle_timeout_s: longest silence while frames are under way, in seconds; None: the default deadline. The
                stream as a whole has no deadline.

        Yields:
            Objects, the end of each frame, frames left out.

        Raises:
            PicoSeekError: the stream as a whole failed; errors of single frames come in their FrameDone.
        """
        idle = self.config.timeout_s if idle_timeout_s is None else idle_timeout_s
        stream = FrameStream(self._stubs.detect_embed.StreamDetectEmbed, _DETECT_EMBED, self.config.detect_embed, idle)
        async with aclosing(stream.run(frames, options or StreamOptions())) as answers:
            async for answer in answers:
                yield answer

    async def models(self, *, timeout_s: float | None = None) -> list[Model]:
        """Return the models that detect_embed serves, by name."""
        models: list[Model] = []
        token = ""
        while True:
            request = make(model_pb2.ListModelsRequest, page_size=_PAGE, page_token=token)
            response = await self._see(self._stubs.detect_embed.ListModels, request, timeout_s)
            models += [model_from(model) for model in response.models]
            token = response.next_page_token
            if not token:
                return models

    async def model(self, name: str, *, timeout_s: float | None = None) -> Model:
        """Return one model.

        Raises:
            NotFoundError: detect_embed serves none of this name.
        """
        request = make(model_pb2.GetModelRequest, name=name)
        response = await self._see(self._stubs.detect_embed.GetModel, request, timeout_s)
        return model_from(response.model)

    async def create_collection(
        self, collection: Collection, *, if_not_exists: bool = False, timeout_s: float | None = None
    ) -> Collection:
        """Make a collection and return it as it is now.

        Args:
            collection: name, space, metric, index, schema; fields set by the service are passed over.
            if_not_exists: return the one that is there if it has the same settings.
            timeout_s: seconds for the call.

        Raises:
            AlreadyExistsError: there is one of this name, or one with other settings.
        """
        request = make(
            collection_pb2.CreateCollectionRequest,
            collection=collection_message(collection),
            if_not_exists=if_not_exists,
        )
        response = await self._find(
            self._stubs.collections.CreateCollection, request, timeout_s, repeatable=if_not_exists
        )
        return collection_from(response.collection)

    async def get_collection(self, name: str, *, timeout_s: float | None = None) -> Collection:
        """Return a collection.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(collection_pb2.GetCollectionRequest, name=name)
        response = await self._find(self._stubs.collections.GetCollection, request, timeout_s)
        return collection_from(response.collection)

    async def index_state(self, name: str, *, timeout_s: float | None = None) -> IndexState:
        """Return what the index of a collection is made of, and whether it is complete.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(collection_pb2.GetCollectionRequest, name=name)
        response = await self._find(self._stubs.collections.GetCollection, request, timeout_s)
        return index_state_from(response)

    async def list_collections(self, *, timeout_s: float | None = None) -> list[Collection]:
        """Return all collections, by name."""
        collections: list[Collection] = []
        token = ""
        while True:
            request = make(collection_pb2.ListCollectionsRequest, page_size=_PAGE, page_token=token)
            response = await self._find(self._stubs.collections.ListCollections, request, timeout_s)
            collections += [collection_from(collection) for collection in response.collections]
            token = response.next_page_token
            if not token:
                return collections

    async def delete_collection(self, name: str, *, allow_missing: bool = False, timeout_s: float | None = None) -> int:
        """Remove a collection and return the number of documents that are gone with it.

        Raises:
            NotFoundError: there is none of this name and `allow_missing` is not set.
        """
        request = make(collection_pb2.DeleteCollectionRequest, name=name, allow_missing=allow_missing)
        response = await self._find(
            self._stubs.collections.DeleteCollection, request, timeout_s, repeatable=allow_missing
        )
        return response.deleted_documents

    async def update_collection(
        self,
        name: str,
        *,
        index: IndexConfig | None = None,
        schema: Sequence[AttributeField] | None = None,
        description: str | None = None,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> CollectionUpdate:
        """Change settings of a collection; what is None stays.

        Another kind of index is built beside while searches and writes go on, by an operation, and takes effect when
        that has ended; everything else is changed when this returns.

        Args:
            name: name of the collection, not an alias.
            index: how its vectors shall be indexed, defaults of searches included.
            schema: attributes that its documents may carry. Those that documents carry can neither go nor change.
            description: for people.
            etag: refuse unless the collection still has it; empty: do not check.
            timeout_s: seconds for the call.

        Raises:
            AbortedError: it was changed meanwhile (ETAG_MISMATCH).
            FailedPreconditionError: documents would not fit the schema (SCHEMA_IN_USE), another rebuild is running
                (REBUILD_RUNNING), or it is an alias (NAME_IS_ALIAS).
        """
        changes = {"index": index, "schema": schema, "description": description}
        paths = [path for path, value in changes.items() if value is not None]
        asked = make(
            collection_pb2.Collection,
            name=name,
            index=None if index is None else index_message(index),
            schema=schema_messages(schema or ()),
            description=description or "",
        )
        request = make(
            collection_pb2.UpdateCollectionRequest, collection=asked, update_mask=FieldMask(paths=paths), etag=etag
        )
        response = await self._find(self._stubs.collections.UpdateCollection, request, timeout_s, repeatable=not etag)
        return CollectionUpdate(collection_from(response.collection), response.operation_id)

    async def set_alias(
        self, name: str, collection: str, *, expected_collection: str = "", timeout_s: float | None = None
    ) -> str:
        """Make an alias, or move it to another collection for all calls from then on; returns where it was, or "".

        Args:
            name: the alias.
            collection: name of a collection.
            expected_collection: refuse unless it names this one now; empty: do not check.
            timeout_s: seconds for the call.

        Raises:
            AbortedError: it does not name `expected_collection` (ALIAS_MISMATCH).
            AlreadyExistsError: a collection has this name.
            NotFoundError: there is no such collection.
        """
        request = make(
            collection_pb2.SetAliasRequest,
            alias=make(collection_pb2.Alias, name=name, collection=collection),
            expected_collection=expected_collection,
        )
        response = await self._find(
            self._stubs.collections.SetAlias, request, timeout_s, repeatable=not expected_collection
        )
        return response.previous_collection

    async def delete_alias(self, name: str, *, timeout_s: float | None = None) -> None:
        """Remove an alias; its collection stays.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(collection_pb2.DeleteAliasRequest, name=name)
        await self._find(self._stubs.collections.DeleteAlias, request, timeout_s, repeatable=False)

    async def list_aliases(self, *, timeout_s: float | None = None) -> list[Alias]:
        """Return all aliases, by name."""
        aliases: list[Alias] = []
        token = ""
        while True:
            request = make(collection_pb2.ListAliasesRequest, page_size=_PAGE, page_token=token)
            response = await self._find(self._stubs.collections.ListAliases, request, timeout_s)
            aliases += [Alias(alias.name, alias.collection) for alias in response.aliases]
            token = response.next_page_token
            if not token:
                return aliases

    async def get_operation(self, id: str, *, timeout_s: float | None = None) -> Operation:  # noqa: A002
        """Return how long work stands.

        Raises:
            NotFoundError: there is none of this id, or it ended long ago.
        """
        request = make(operation_pb2.GetOperationRequest, id=id)
        response = await self._find(self._stubs.collections.GetOperation, request, timeout_s)
        return operation_from(response.operation)

    async def list_operations(self, collection: str = "", *, timeout_s: float | None = None) -> list[Operation]:
        """Return long work of a collection, newest first; empty: of all."""
        operations: list[Operation] = []
        token = ""
        while True:
            request = make(
                operation_pb2.ListOperationsRequest, collection=collection, page_size=_PAGE, page_token=token
            )
            response = await self._find(self._stubs.collections.ListOperations, request, timeout_s)
            operations += [operation_from(operation) for operation in response.operations]
            token = response.next_page_token
            if not token:
                return operations

    async def wait_operation(
        self,
        id: str,  # noqa: A002
        *,
        timeout_s: float | None = None,
        report: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Wait until long work has ended, in whatever way, and return it.

        Args:
            id: Operation.id.
            timeout_s: longest wait, in seconds; None: no limit.
            report: told now and then how it stands.

        Raises:
            DeadlineExceededError: it has not ended in time; it goes on.
            NotFoundError: there is none of this id.
        """
        deadline = None if timeout_s is None else Deadline.after(timeout_s)
        while True:
            pause_s = _REPORT_EVERY_S if report else _WAIT_S
            if deadline is not None:
                pause_s = min(pause_s, deadline.require(f"operation {id} had ended"))
            request = make(operation_pb2.WaitOperationRequest, id=id)
            request.timeout.FromMilliseconds(round(pause_s * 1000))
            response = await self._find(self._stubs.collections.WaitOperation, request, pause_s + self.config.timeout_s)
            operation = operation_from(response.operation)
            if report:
                report(operation)
            if operation.has_ended:
                return operation

    async def cancel_operation(self, id: str, *, timeout_s: float | None = None) -> Operation:  # noqa: A002
        """Ask long work to stop, and return how it stands now.

        Raises:
            NotFoundError: there is none of this id.
        """
        request = make(operation_pb2.CancelOperationRequest, id=id)
        response = await self._find(self._stubs.collections.CancelOperation, request, timeout_s)
        return operation_from(response.operation)

    async def upsert(
        self,
        collection: str,
        documents: Sequence[Document],
        *,
        space: str,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> UpsertResult:
        """Write documents; one that is there already is replaced whole. When it returns, they are on disk.

        Args:
            collection: name of the collection.
            documents: at most as many as the service allows (1000 by default), each id once.
            space: digest of the space in which the vectors were made; it must be the collection's.
            request_id: name of this write, under which it is applied once however often it is sent; empty: a new one.
            timeout_s: seconds for the call.

        Raises:
            FailedPreconditionError: the vectors are of another embedding space (EMBEDDING_SPACE_MISMATCH).
        """
        request = make(
            search_pb2.UpsertRequest,
            collection=collection,
            documents=document_messages(documents),
            space=space,
            request_id=request_id or str(uuid.uuid4()),
        )
        response = await self._find(self._stubs.search.Upsert, request, timeout_s)
        return UpsertResult(
            revision_from(response.revision),
            response.inserted,
            response.replaced,
            response.already_applied,
            response.request_id,
        )

    async def delete(
        self,
        collection: str,
        *,
        ids: Sequence[str] = (),
        filter: str = "",  # noqa: A002  # the contract's name
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> DeleteResult:
        """Remove documents by id or by condition. When it returns, that is on disk.

        Args:
            collection: name of the collection.
            ids: documents by id; those that are not there are passed over.
            filter: documents by condition, see SearchOptions.filter. Give either ids or a filter.
            request_id: see `upsert`.
            timeout_s: seconds for the call.

        Raises:
            InvalidArgumentError: neither ids nor a filter was given, or both.
        """
        if bool(ids) == bool(filter):
            raise InvalidArgumentError("give either ids or a filter of the documents to delete")
        request = make(
            search_pb2.DeleteRequest,
            collection=collection,
            ids=ids,
            filter=filter,
            request_id=request_id or str(uuid.uuid4()),
        )
        response = await self._find(self._stubs.search.Delete, request, timeout_s)
        return DeleteResult(
            revision_from(response.revision), response.deleted, response.already_applied, response.request_id
        )

    async def get(
        self,
        collection: str,
        ids: Sequence[str],
        *,
        include: DocumentMask = _ALL_BUT_VECTOR,
        min_revision: Revision | None = None,
        timeout_s: float | None = None,
    ) -> GetResult:
        """Return documents by id.

        Args:
            collection: name of the collection.
            ids: at most as many as the service allows (1000 by default).
            include: parts to return.
            min_revision: the answer must hold this revision.
            timeout_s: seconds for the call.
        """
        request = make(
            search_pb2.GetRequest,
            collection=collection,
            ids=ids,
            include=mask_message(include),
            min_revision=revision_message(min_revision),
        )
        response = await self._find(self._stubs.search.Get, request, timeout_s)
        return GetResult(
            documents_from(response),
            tuple(response.missing_ids),
            revision_from(response.revision),
        )

    async def list_documents(
        self,
        collection: str,
        *,
        filter: str = "",  # noqa: A002  # the contract's name
        include: DocumentMask = _ALL_BUT_VECTOR,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Document]:
        """Yield documents by id, fetching page after page.

        Args:
            collection: name of the collection.
            filter: only documents that meet it, see SearchOptions.filter.
            include: parts to return.
            page_size: documents fetched at a time, 1 to 1000; 0: the service's default.
            timeout_s: seconds for each page.
        """
        token = ""
        while True:
            request = make(
                search_pb2.ListRequest,
                collection=collection,
                page_size=page_size,
                page_token=token,
                filter=filter,
                include=mask_message(include),
            )
            response = await self._find(self._stubs.search.List, request, timeout_s)
            for document in documents_from(response):
                yield document
            token = response.next_page_token
            if not token:
                return

    async def count(
        self,
        collection: str,
        *,
        filter: str = "",  # noqa: A002  # the contract's name
        min_revision: Revision | None = None,
        timeout_s: float | None = None,
    ) -> CountResult:
        """Count the documents that meet a filter, and their items."""
        request = make(
            search_pb2.CountRequest, collection=collection, filter=filter, min_revision=revision_message(min_revision)
        )
        response = await self._find(self._stubs.search.Count, request, timeout_s)
        return CountResult(response.documents, response.items, revision_from(response.revision))

    async def search(
        self,
        collection: str,
        vectors: Sequence[Vector] | Vector,
        *,
        space: str,
        options: SearchOptions | None = None,
        timeout_s: float | None = None,
    ) -> SearchResult:
        """Find the nearest documents of one or more queries.

        Args:
            collection: name of the collection.
            vectors: [queries, dimension], or a list of vectors; at most as many as the service allows.
            space: digest of the space in which the vectors were made; it must be the collection's.
            options: how to search.
            timeout_s: seconds for the call.

        Raises:
            FailedPreconditionError: the vectors are of another embedding space (EMBEDDING_SPACE_MISMATCH).
        """
        request = search_request(collection, vectors, space, options or SearchOptions())
        stubs = self._stubs
        streams = self.config.stream_searches and request.queries == 1
        method = stubs.search_stream.search if streams else stubs.search.Search
        response = await self._find(method, request, timeout_s)
        return search_result_from(response)

    async def create_snapshot(
        self, collection: str, name: str = "", *, request_id: str = "", timeout_s: float | None = None
    ) -> Operation:
        """Begin to write a snapshot, while searches and writes go on; wait_operation() tells when it is complete.

        Args:
            collection: name of the collection, or an alias.
            name: of the snapshot; empty: made of the time and the revision, see Operation.result.
            request_id: name of this call, under which one snapshot is begun however often it is sent; empty: a new one.
            timeout_s: seconds for the call.

        Raises:
            AlreadyExistsError: the collection has a snapshot of this name.
        """
        request = make(
            snapshot_pb2.CreateSnapshotRequest,
            collection=collection,
            name=name,
            request_id=request_id or str(uuid.uuid4()),
        )
        response = await self._find(self._stubs.collections.CreateSnapshot, request, timeout_s)
        return operation_from(response.operation)

    async def get_snapshot(self, collection: str, name: str, *, timeout_s: float | None = None) -> Snapshot:
        """Return a snapshot.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(snapshot_pb2.GetSnapshotRequest, collection=collection, snapshot=name)
        response = await self._find(self._stubs.collections.GetSnapshot, request, timeout_s)
        return snapshot_from(response.snapshot)

    async def list_snapshots(self, collection: str = "", *, timeout_s: float | None = None) -> list[Snapshot]:
        """Return the snapshots of a collection, newest first; empty: all."""
        snapshots: list[Snapshot] = []
        token = ""
        while True:
            request = make(snapshot_pb2.ListSnapshotsRequest, collection=collection, page_size=_PAGE, page_token=token)
            response = await self._find(self._stubs.collections.ListSnapshots, request, timeout_s)
            snapshots += [snapshot_from(snapshot) for snapshot in response.snapshots]
            token = response.next_page_token
            if not token:
                return snapshots

    async def verify_snapshot(self, collection: str, name: str, *, timeout_s: float | None = None) -> Operation:
        """Begin to compare a snapshot with its checksums; the operation fails with SNAPSHOT_DAMAGED if it is damaged.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(snapshot_pb2.VerifySnapshotRequest, collection=collection, snapshot=name)
        response = await self._find(self._stubs.collections.VerifySnapshot, request, timeout_s)
        return operation_from(response.operation)

    async def restore_snapshot(
        self,
        collection: str,
        name: str,
        *,
        target: str = "",
        overwrite: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Operation:
        """Begin to make a collection of a snapshot; wait_operation() tells when it is there.

        Args:
            collection: Snapshot.collection.
            name: Snapshot.name.
            target: name of the collection to make; empty: the snapshot's own.
            overwrite: put it in the place of the one that has this name. The old one answers until the restored one is
                complete.
            request_id: see create_snapshot().
            timeout_s: seconds for the call.

        Raises:
            AlreadyExistsError: there is a collection of this name, and `overwrite` is not set.
            NotFoundError: there is no such snapshot.
        """
        request = make(
            snapshot_pb2.RestoreSnapshotRequest,
            collection=collection,
            snapshot=name,
            target=target,
            overwrite=overwrite,
            request_id=request_id or str(uuid.uuid4()),
        )
        response = await self._find(self._stubs.collections.RestoreSnapshot, request, timeout_s)
        return operation_from(response.operation)

    async def delete_snapshot(self, collection: str, name: str, *, timeout_s: float | None = None) -> Operation:
        """Remove a snapshot; the operation removes what no other one needs.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(snapshot_pb2.DeleteSnapshotRequest, collection=collection, snapshot=name)
        response = await self._find(self._stubs.collections.DeleteSnapshot, request, timeout_s, repeatable=False)
        return operation_from(response.operation)

    async def search_quality(self, collection: str, *, timeout_s: float | None = None) -> SearchQuality:
        """Return what verdicts of a collection rest on, and what live searches find of what an exact search finds.

        Raises:
            NotFoundError: there is none of this name.
        """
        request = make(search_pb2.GetSearchQualityRequest, collection=collection)
        return search_quality_from(await self._find(self._stubs.search.GetSearchQuality, request, timeout_s))

    def _caller(self, service: str, address: str) -> UnaryCaller:
        return UnaryCaller(service, address, self.config.timeout_s, self.config.retry)

    @property
    def _stubs(self) -> Stubs:
        # Channels belong to the event loop that runs when they are made, so the first call makes them.
        if self._open is None:
            self._open = Stubs.open(self.config)
        return self._open
