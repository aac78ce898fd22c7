"""A gallery of known things, for callers without an event loop."""

from __future__ import annotations

from picoseek.async_gallery import AsyncGallery
from picoseek.blocking import BlockingFace, blocking, blocking_iterator
from picoseek.client import Client


class Gallery(BlockingFace[AsyncGallery]):
    """The known things that pictures are compared with. See AsyncGallery for each method."""

    def __init__(self, name: str, client: Client) -> None:
        """Name a gallery; it need not be there yet.

        Args:
            name: 1 to 64 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit.
            client: how to reach the services; it stays the caller's to close.
        """
        super().__init__(AsyncGallery(name, client.asynchronous))

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self.asynchronous.name

    add_pictures = blocking(AsyncGallery.add_pictures)
    describe = blocking(AsyncGallery.describe)
    references = blocking_iterator(AsyncGallery.references)
    delete_item = blocking(AsyncGallery.delete_item)
    delete_references = blocking(AsyncGallery.delete_references)
    delete = blocking(AsyncGallery.delete)
