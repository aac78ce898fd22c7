"""A gallery of known things, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from picoseek.async_client import AsyncClient
from picoseek.collection import Collection
from picoseek.document import DeleteResult, Document
from picoseek.gallery_import import GalleryImport, ImportOptions, ImportProgress
from picoseek.labelled_pictures import LabelledPicture, read_labelled_pictures


class AsyncGallery:
    """The known things that pictures are compared with: a collection of the search service, filled with pictures."""

    def __init__(self, name: str, client: AsyncClient) -> None:
        """Name a gallery; it need not be there yet.

        Args:
            name: 1 to 64 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit.
            client: how to reach the services; it stays the caller's to close.
        """
        self.name = name
        self.client = client

    async def add_pictures(
        self,
        pictures: Path | str | Sequence[LabelledPicture],
        *,
        options: ImportOptions | None = None,
        report: Callable[[ImportProgress], None] | None = None,
    ) -> ImportProgress:
        """Embed pictures whole and write them; the gallery is made if it is not there.

        Ids are the pictures' relative paths, so the same call again passes over what is there unchanged and replaces
        what has changed.

        Args:
            pictures: a folder with a folder a class, a CSV file `path,label`, or a list.
            options: how to import.
            report: told of the progress after every batch.

        Raises:
            PicoSeekError: there are no pictures, or a service failed; single bad pictures are only counted.
        """
        listed = read_labelled_pictures(Path(pictures)) if isinstance(pictures, Path | str) else pictures
        return await GalleryImport(self.client, self.name, options or ImportOptions(), report).run(listed)

    async def describe(self) -> Collection:
        """Return the collection: documents, items, space, index.

        Raises:
            NotFoundError: the gallery is not there.
        """
        return await self.client.get_collection(self.name)

    async def references(self) -> AsyncIterator[Document]:
        """Yield the references by id, without their vectors."""
        async for document in self.client.list_documents(self.name):
            yield document

    async def delete_item(self, item: str) -> DeleteResult:
        """Remove all references of one item."""
        quoted = item.replace("\\", "\\\\").replace('"', '\\"')
        return await self.client.delete(self.name, filter=f'item = "{quoted}"')

    async def delete_references(self, ids: Sequence[str]) -> DeleteResult:
        """Remove references by id."""
        return await self.client.delete(self.name, ids=ids)

    async def delete(self) -> int:
        """Remove the gallery and return how many references it had.

        Raises:
            NotFoundError: it is not there.
        """
        return await self.client.delete_collection(self.name)
