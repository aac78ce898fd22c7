"""Moves the documents of a collection to files, and those of files to a collection."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from picoseek.async_client import AsyncClient
from picoseek.collection_files import open_file, open_writer
from picoseek.document import Document, DocumentMask
from picoseek.errors import FailedPreconditionError, InvalidArgumentError
from picoseek.whole_file import named_on_failure
from picoseek.wire.galleries import document_message

_EVERYTHING = DocumentMask(vector=True, labels=True, attributes=True, payload=True, provenance=True)
_BATCH = 500
_BATCH_BYTES = 8 << 20
_BATCHES_AT_A_TIME = 3


@dataclass(frozen=True)
class TransferProgress:
    """How far an import or export is."""

    total: int
    """Documents in all, as far as is known."""
    done: int = 0
    """Documents that are dealt with."""
    unchanged: int = 0
    """Import: those among them that an earlier import of the same rows had written already."""


Report = Callable[[TransferProgress], None]


class AsyncCollectionTransfer:
    """Moves documents between one collection and files."""

    def __init__(self, name: str, client: AsyncClient) -> None:
        """Name a collection.

        Args:
            name: of the collection, or an alias.
            client: how to reach the service; it stays the caller's to close.
        """
        self.name = name
        self.client = client

    async def export(
        self,
        path: Path,
        *,
        filter: str = "",  # noqa: A002  # the contract's name
        report: Report = lambda _: None,
    ) -> TransferProgress:
        """Write the documents of a collection to a file; it appears when it is complete.

        What is written to the collection meanwhile may be in it or not: restore a snapshot beside to export one
        revision.

        Args:
            path: a name that ends with .parquet, or a folder to make for NPY.
            filter: only documents that meet it, see SearchOptions.filter.
            report: told of the progress now and then.

        Raises:
            FileExistsError: there is something at `path`.
            OSError: it cannot be written there; nothing of it is left.
            PicoSeekError: the service failed, or there is no such collection.
        """
        described = await self.client.get_collection(self.name)
        progress = TransferProgress((await self.client.count(self.name, filter=filter)).documents)
        with named_on_failure(path):
            writer = await asyncio.to_thread(open_writer, path, described)
            try:
                some: list[Document] = []
                listed = self.client.list_documents(self.name, filter=filter, include=_EVERYTHING, page_size=_BATCH)
                async for document in listed:
                    some.append(document)
                    if len(some) == _BATCH:
                        await asyncio.to_thread(writer.write, some)
                        progress = TransferProgress(progress.total, progress.done + len(some))
                        report(progress)
                        some = []
                if some:
                    await asyncio.to_thread(writer.write, some)
                await asyncio.to_thread(writer.finish)
            finally:
                await asyncio.to_thread(writer.close)
        progress = TransferProgress(progress.total, progress.done + len(some))
        report(progress)
        return progress

    async def import_(
        self,
        path: Path,
        *,
        space: str = "",
        again: bool = False,
        report: Report = lambda _: None,
    ) -> TransferProgress:
        """Write the documents of a file to a collection; one that is there already is replaced whole.

        The request ids of the writes are made of their content and place, so the same import again, after it was cut
        off or was complete, changes nothing that it has done.

        Args:
            path: a Parquet file, or a folder with NPY.
            space: digest of the space in which the vectors were made; needed if the file does not say it.
            again: write what an earlier import has written, too; it may have been replaced or removed since.
            report: told of the progress now and then.

        Raises:
            InvalidArgumentError: a row is no document of the collection; the message names it. Nothing of its part of
                500 rows is written; parts before it may be.
            FailedPreconditionError: the vectors are of another embedding space.
            OSError: the file cannot be read.
            PicoSeekError: the service failed; what was reported as done is on disk.
        """
        described = await self.client.get_collection(self.name)
        file = await asyncio.to_thread(open_file, path, described)
        made_in = space or file.space
        if not made_in:
            raise InvalidArgumentError(
                f"{path} does not say in which embedding space its vectors were made; give the space (--space)"
            )
        if made_in != described.space.digest or file.space not in ("", made_in):
            raise FailedPreconditionError(
                f"the vectors of {path} are of space {made_in}, collection {self.name!r} is of "
                f"{described.space.digest}; "
                "import into a collection of theirs",
                reason="EMBEDDING_SPACE_MISMATCH",
            )
        transfer = _Import(self.client, self.name, made_in, again, file.rows, report)
        under_way: set[asyncio.Task[None]] = set()
        batches = file.batches(_BATCH)
        first = 0
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                for part in _parts(batch):
                    if len(under_way) == _BATCHES_AT_A_TIME:
                        ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                        for task in ended:
                            task.result()
                    under_way.add(asyncio.create_task(transfer.write(first, part)))
                    first += len(part)
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return transfer.progress


class _Import:
    def __init__(
        self, client: AsyncClient, collection: str, space: str, again: bool, total: int, report: Report
    ) -> None:
        self._client = client
        self._collection = collection
        self._space = space
        self._again = again
        self._report = report
        self.progress = TransferProgress(total)

    async def write(self, first: int, documents: list[Document]) -> None:
        request_id = "" if self._again else await asyncio.to_thread(_request_id, first, documents)
        try:
            result = await self._client.upsert(self._collection, documents, space=self._space, request_id=request_id)
        except InvalidArgumentError as error:
            message = f"rows {first} to {first + len(documents) - 1} were refused: {error.message}"
            raise InvalidArgumentError(message, reason=error.reason, metadata=error.metadata) from error
        self.progress = TransferProgress(
            self.progress.total,
            self.progress.done + len(documents),
            self.progress.unchanged + len(documents) * result.already_applied,
        )
        self._report(self.progress)


def _request_id(first: int, documents: list[Document]) -> str:
    digest = hashlib.sha256(f"import {first}".encode())
    for document in documents:
        content = document_message(document).SerializeToString(deterministic=True)
        digest.update(len(content).to_bytes(8, "little") + content)
    return f"import-{digest.hexdigest()[:40]}"


def _parts(documents: list[Document]) -> list[list[Document]]:
    """Return documents in parts that fit into a message."""
    parts: list[list[Document]] = [[]]
    size = 0
    for document in documents:
        own = len(document.payload) + (0 if document.vector is None else document.vector.nbytes)
        if parts[-1] and size + own > _BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(document)
        size += own
    return [part for part in parts if part]
