"""Documents of a collection to files and back, for callers without an event loop."""

from __future__ import annotations

from picoseek.async_collection_transfer import AsyncCollectionTransfer
from picoseek.blocking import BlockingFace, blocking
from picoseek.client import Client


class CollectionTransfer(BlockingFace[AsyncCollectionTransfer]):
    """Moves documents between one collection and files. See AsyncCollectionTransfer for each method."""

    def __init__(self, name: str, client: Client) -> None:
        """Name a collection.

        Args:
            name: of the collection, or an alias.
            client: how to reach the service; it stays the caller's to close.
        """
        super().__init__(AsyncCollectionTransfer(name, client.asynchronous))

    export = blocking(AsyncCollectionTransfer.export)
    import_ = blocking(AsyncCollectionTransfer.import_)
