"""Content that is stored once, under its own digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from picoseek_chassis import errors

from picoseek_search.snapshots.manifest import Blob
from picoseek_search.snapshots.object_store import ObjectMissingError, ObjectStore

_BLOCK = 4 << 20

Tick = Callable[[int], None]
"""Told of every block's bytes; an exception that it raises ends the work."""


class BlobStore:
    """The blobs of one collection's snapshots."""

    def __init__(self, store: ObjectStore, folder: str) -> None:
        """Keep blobs below a folder of a store."""
        self._store = store
        self._folder = f"{folder}/blobs"

    def put(self, content: bytes) -> tuple[Blob, int]:
        """Store content; returns its name and the bytes that had to be written, 0 if it was there and sound."""
        blob = Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        if self.is_sound(blob, lambda _: None):
            return blob, 0
        self._store.put(self._path(blob.sha256), content)
        return blob, blob.size

    def put_file(self, file: BinaryIO, tick: Tick) -> tuple[Blob, int]:
        """Store a file that does not change, see put(); `tick` is told of its bytes once."""
        digest, size = hashlib.sha256(), 0
        for block in _blocks(file):
            digest.update(block)
            size += len(block)
            tick(len(block))
        blob = Blob(sha256=digest.hexdigest(), size=size)
        if self.is_sound(blob, lambda _: tick(0)):
            return blob, 0

        def again() -> Iterator[bytes]:
            for block in _blocks(file):
                tick(0)
                yield block

        self._store.put_blocks(self._path(blob.sha256), again())
        return blob, size

    def is_sound(self, blob: Blob, tick: Tick) -> bool:
        """Return whether content is there, so that a snapshot may rest on it.

        In a folder it is read and compared; object storage, from which that would be a download, compares by itself.
        """
        if self._store.size(self._path(blob.sha256)) != blob.size:
            return False
        if self._store.compares_content:
            return True
        try:
            self.check(blob, "", tick)
        except errors.ServiceError as error:
            if error.reason != "SNAPSHOT_DAMAGED":
                raise
            return False
        return True

    def read(self, blob: Blob, what: str) -> bytes:
        """Return content.

        Args:
            blob: its name.
            what: what it is, for messages.

        Raises:
            ServiceError: SNAPSHOT_DAMAGED, it is missing or not what was written.
        """
        return b"".join(self._checked(blob, what))

    def fetch(self, blob: Blob, path: Path, what: str, tick: Tick) -> None:
        """Write content to a file that is new, see read().

        Raises:
            OSError: the disk is full or fails.
        """
        with path.open("xb") as file:
            for block in self._checked(blob, what):
                tick(len(block))
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def check(self, blob: Blob, what: str, tick: Tick) -> None:
        """Read content and compare its digest, see read()."""
        for block in self._checked(blob, what):
            tick(len(block))

    def unneeded(self, needed: set[str]) -> list[str]:
        """Return the paths of all blobs but some."""
        return [info.path for info in self._store.below(self._folder) if info.path.rpartition("/")[2] not in needed]

    def _checked(self, blob: Blob, what: str) -> Iterator[bytes]:
        path = self._path(blob.sha256)
        digest, size = hashlib.sha256(), 0
        try:
            for block in self._store.blocks(path):
                digest.update(block)
                size += len(block)
                yield block
        except ObjectMissingError as error:
            raise damaged(f"{what} is missing: {path}", path) from error
        if size != blob.size or digest.hexdigest() != blob.sha256:
            raise damaged(f"{what} is not what was written: {path}", path)

    def _path(self, sha256: str) -> str:
        return f"{self._folder}/{sha256[:2]}/{sha256}"


def damaged(message: str, path: str) -> errors.ServiceError:
    """Return the error for a snapshot that is not what was written."""
    return errors.data_loss(
        "SNAPSHOT_DAMAGED",
        f"the snapshot is damaged, {message}; use another snapshot, or make one of a collection that is well",
        object=path,
    )


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block
