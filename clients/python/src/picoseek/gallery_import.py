"""Puts pictures into a gallery, and goes on where an import was cut off."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from picoseek.async_client import AsyncClient
from picoseek.collection import AttributeField, AttributeType, Collection
from picoseek.document import Document, DocumentMask, Provenance
from picoseek.embedding import Embedding
from picoseek.errors import AbortedError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from picoseek.labelled_pictures import LabelledPicture
from picoseek.picture import PictureInput, read_picture_file
from picoseek.readable_text import is_unicode, readable
from picoseek.served_embedder import find_embedder, find_embedder_of
from picoseek.usable_results import usable_results

CONTENT_DIGEST = "content_sha256"
"""Attribute with the digest of a reference's file, by which an import tells what it need not do again."""

_DIGEST = AttributeField(CONTENT_DIGEST, AttributeType.STRING, description="SHA-256 of the file")
_BATCH = 16
_BATCH_BYTES = 16 << 20
_BATCHES_AT_A_TIME = 3
_BESIDE_PICTURE = 4096


@dataclass(frozen=True)
class ImportOptions:
    """How pictures are imported."""

    embedder: str = ""
    """Embedder by name; empty: the one that the gallery was made with, and the service's default for a new one."""
    description: str = ""
    """Of the gallery, if it is made."""
    timeout_s: float = 120.0
    """Deadline of each call, in seconds; a service that is busy with others may take its time."""


@dataclass(frozen=True)
class ImportProgress:
    """How far an import is; told after every batch."""

    total: int
    """Pictures in all."""
    added: int = 0
    """Pictures embedded and written."""
    unchanged: int = 0
    """Pictures that were there already, with the same content and label."""
    failed: tuple[tuple[str, str], ...] = ()
    """Pictures that could not be used: id and why."""

    @property
    def done(self) -> int:
        """Pictures that are dealt with."""
        return self.added + self.unchanged + len(self.failed)


@dataclass
class _Tally:
    total: int
    added: int = 0
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def progress(self) -> ImportProgress:
        return ImportProgress(self.total, self.added, self.unchanged, tuple(sorted(self.failed)))


@dataclass(frozen=True)
class _Loaded:
    picture: LabelledPicture
    data: bytes
    digest: str


class GalleryImport:
    """One import into one gallery. Each picture is embedded whole and its label is its item."""

    def __init__(
        self,
        client: AsyncClient,
        gallery: str,
        options: ImportOptions,
        report: Callable[[ImportProgress], None] | None = None,
    ) -> None:
        """Make an import.

        Args:
            client: how to reach the services.
            gallery: name of the collection; made if it is not there.
            options: how to import.
            report: told of the progress after every batch, in the event loop's thread.
        """
        self._client = client
        self._gallery = gallery
        self._options = options
        self._report = report
        self._space = ""
        self._embedder = ""
        self._keeps_digests = False

    async def run(self, pictures: Sequence[LabelledPicture]) -> ImportProgress:
        """Import pictures and return the final count.

        A picture that cannot be read or decoded is counted as failed and passed over. Everything that was counted as
        added is on disk; when the import is cut off, the same import again passes over what is there.

        Raises:
            FailedPreconditionError: the gallery was made with another embedder than the one named, or than all served.
            PicoSeekError: a service failed.
        """
        await self._prepare()
        tally = _Tally(len(pictures))
        queue = iter([pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)])
        # The workers share one iterator: a batch is read from disk when a worker is free to send it.
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(_BATCHES_AT_A_TIME):
                    workers.create_task(self._work(queue, tally))
        except ExceptionGroup as group:  # the first failure cancelled the other workers
            raise group.exceptions[0] from None
        return tally.progress()

    async def _prepare(self) -> None:
        timeout_s = self._options.timeout_s
        try:
            collection = await self._client.get_collection(self._gallery, timeout_s=timeout_s)
        except NotFoundError:
            collection = await self._make(timeout_s)
        if self._options.embedder:
            embedder = await find_embedder(self._client, self._options.embedder, timeout_s=timeout_s)
            if collection.space.digest != embedder.space.digest:
                raise FailedPreconditionError(
                    f"gallery {self._gallery!r} was made with another embedder than {embedder.name!r}, so their "
                    "vectors cannot be compared; import into a new gallery, or name no embedder",
                    reason="EMBEDDING_SPACE_MISMATCH",
                )
        else:
            embedder = await find_embedder_of(self._client, collection, timeout_s=timeout_s)
        self._embedder = embedder.name
        self._space = embedder.space.digest
        self._keeps_digests = await self._may_keep_digests(collection)

    async def _make(self, timeout_s: float | None) -> Collection:
        embedder = await find_embedder(self._client, self._options.embedder, timeout_s=timeout_s)
        wanted = Collection(
            self._gallery,
            embedder.space,
            schema=(_DIGEST,),
            description=self._options.description,
        )
        return await self._client.create_collection(wanted, if_not_exists=True, timeout_s=timeout_s)

    async def _may_keep_digests(self, collection: Collection) -> bool:
        """Give the schema of a collection that was made otherwise, by an import of vectors say, a place for digests."""
        named = [attribute.type for attribute in collection.schema if attribute.name == CONTENT_DIGEST]
        if named:
            return named == [_DIGEST.type]
        schema = (*collection.schema, _DIGEST)
        timeout_s = self._options.timeout_s
        try:
            await self._client.update_collection(
                collection.name, schema=schema, etag=collection.etag, timeout_s=timeout_s
            )
        except AbortedError:
            # It was changed meanwhile, perhaps by another import that gave it the place.
            return await self._may_keep_digests(await self._client.get_collection(self._gallery, timeout_s=timeout_s))
        return True

    async def _work(self, batches: Iterator[Sequence[LabelledPicture]], tally: _Tally) -> None:
        for batch in batches:
            loaded = await asyncio.to_thread(_load, batch, tally.failed, self._client.config.max_message_bytes)
            changed = await self._changed(loaded)
            tally.unchanged += len(loaded) - len(changed)
            for part in _parts(changed):
                await self._add(part, tally)
            if self._report is not None:
                self._report(tally.progress())

    async def _changed(self, loaded: list[_Loaded]) -> list[_Loaded]:
        if not loaded or not self._keeps_digests:
            return loaded
        got = await self._client.get(
            self._gallery,
            [entry.picture.id for entry in loaded],
            include=DocumentMask(labels=True, attributes=True),
            timeout_s=self._options.timeout_s,
        )
        there = {
            document.id: (document.attributes.get(CONTENT_DIGEST), document.item, document.label)
            for document in got.documents
        }
        return [
            entry
            for entry in loaded
            if there.get(entry.picture.id) != (entry.digest, entry.picture.label, entry.picture.label)
        ]

    async def _add(self, part: Sequence[_Loaded], tally: _Tally) -> None:
        inputs = [PictureInput(entry.data, id=entry.picture.id) for entry in part]
        call = self._client.embed(inputs, embedder=self._embedder, timeout_s=self._options.timeout_s)
        documents: list[Document] = []
        for entry, result in zip(part, await usable_results(call, len(part)), strict=True):
            if isinstance(result, InvalidArgumentError):
                tally.failed.append((entry.picture.id, result.message))
            elif result.embedding is not None:
                documents.append(self._document(entry, result.embedding))
        if documents:
            await self._client.upsert(self._gallery, documents, space=self._space, timeout_s=self._options.timeout_s)
            tally.added += len(documents)

    def _document(self, entry: _Loaded, embedding: Embedding) -> Document:
        return Document(
            id=entry.picture.id,
            vector=embedding.vector,
            item=entry.picture.label,
            labels=(entry.picture.label,),
            attributes={CONTENT_DIGEST: entry.digest} if self._keeps_digests else {},
            provenance=Provenance(source=readable(str(entry.picture.path))),
        )


def _load(batch: Sequence[LabelledPicture], failed: list[tuple[str, str]], message_bytes: int) -> list[_Loaded]:
    loaded: list[_Loaded] = []
    for picture in batch:
        if not is_unicode(picture.id + picture.label):
            failed.append((picture.id, "its name, or that of a folder it is in, is no UTF-8; rename it"))
            continue
        try:
            data = read_picture_file(picture.path)
        except InvalidArgumentError as error:
            failed.append((picture.id, error.message))
            continue
        # One that no message holds would fail the call, and not by itself.
        if len(data) + _BESIDE_PICTURE > message_bytes:
            failed.append((picture.id, f"it has {len(data)} bytes, more than a message may have; reduce it"))
        else:
            loaded.append(_Loaded(picture, data, hashlib.sha256(data).hexdigest()))
    return loaded


def _parts(loaded: Sequence[_Loaded]) -> Iterator[Sequence[_Loaded]]:
    """Yield the pictures in parts that fit into a message."""
    part: list[_Loaded] = []
    for entry in loaded:
        if part and sum(len(other.data) for other in part) + len(entry.data) > _BATCH_BYTES:
            yield part
            part = []
        part.append(entry)
    if part:
        yield part
