"""Pictures in, names out, for callers without an event loop."""

from __future__ import annotations

from picoseek.async_recognizer import AsyncRecognizer, RecognizerConfig
from picoseek.blocking import BlockingFace, blocking, blocking_iterator
from picoseek.client import Client


class Recognizer(BlockingFace[AsyncRecognizer]):
    """Recognises what is in pictures by looking it up in a gallery, and waits for the answers.

    See AsyncRecognizer for each method.
    """

    def __init__(self, gallery: str, client: Client, config: RecognizerConfig | None = None) -> None:
        """Make a recogniser.

        Args:
            gallery: name of the collection.
            client: how to reach the services; it stays the caller's to close.
            config: how to recognise.
        """
        super().__init__(AsyncRecognizer(gallery, client.asynchronous, config))

    recognize = blocking(AsyncRecognizer.recognize)
    recognize_many = blocking(AsyncRecognizer.recognize_many)
    recognize_stream = blocking_iterator(AsyncRecognizer.recognize_stream)
    threshold = blocking(AsyncRecognizer.threshold)
    refresh = blocking(AsyncRecognizer.refresh)
