"""What a snapshot is made of."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

_MARK = b"sha256:"


class ManifestError(Exception):
    """Bytes that are no intact manifest."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Blob(_Part):
    """A piece of content, named by its digest."""

    sha256: str
    """64 hex digits over the content."""
    size: int
    """Bytes."""


class RowSegment(_Part):
    """Rows of a table in a blob, which is an SQLite database. Some of its rows may be gone by now."""

    first: int
    """Smallest key that it answers for: document's row number, or request's sequence."""
    last: int
    """Largest one."""
    rows: int
    """Rows in the blob."""
    blob: Blob
    """Its content."""


class IndexFiles(_Part):
    """An index that saves building it anew."""

    number: int
    """Part of the shard."""
    files: dict[str, Blob]
    """Content by the files' suffixes."""


class Manifest(_Part):
    """A collection as it was at one revision. It is the last object of a snapshot to be written."""

    format: Literal[1] = 1
    """Format of this and of the blobs; grows with every change that older services cannot read."""
    collection: str
    """Name of the collection."""
    name: str
    """Name of the snapshot."""
    created_at: datetime
    """When it was begun."""
    settings: dict[str, Any]
    """picoseek.v1.Collection as the registry keeps it, in protobuf's JSON."""
    origin: str
    """History.origin of the collection."""
    ended: dict[int, int]
    """History.ended of the collection."""
    epoch: int
    """Epoch of its revision."""
    sequence: int
    """Sequence of its revision."""
    next_row: int
    """Number of the next document's version."""
    documents: int
    """Documents in it."""
    live: Blob
    """Which rows are in it: their numbers' differences as little-endian int64, deflated."""
    document_segments: tuple[RowSegment, ...]
    """Versions of documents, by ascending and disjoint ranges; those not in `live` are to be passed over."""
    first_request: int
    """Smallest sequence of the applied requests in it."""
    request_segments: tuple[RowSegment, ...]
    """Applied requests; those before `first_request` are to be passed over."""
    indexes: tuple[IndexFiles, ...]
    """Indexes."""
    new_bytes: int
    """Bytes of blobs that were not there before."""

    def blobs(self) -> dict[str, Blob]:
        """Return every blob it needs, by digest."""
        found = [
            self.live,
            *(segment.blob for segment in (*self.document_segments, *self.request_segments)),
            *(blob for index in self.indexes for blob in index.files.values()),
        ]
        return {blob.sha256: blob for blob in found}

    @property
    def size_bytes(self) -> int:
        """Bytes of its blobs, each counted once."""
        return sum(blob.size for blob in self.blobs().values())


def encode(manifest: Manifest) -> bytes:
    """Return a manifest as it is stored: a line with the digest of the JSON that follows."""
    body = manifest.model_dump_json(indent=1).encode()
    return _MARK + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(content: bytes) -> tuple[Manifest, str]:
    """Read what encode() wrote; returns it and its digest, "sha256:" and 64 hex digits.

    Raises:
        ManifestError: it is damaged, or of a newer service.
    """
    mark, _, body = content.partition(b"\n")
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    if mark.decode("latin-1") != digest:
        raise ManifestError("its checksum does not fit")
    try:
        return Manifest.model_validate_json(body), digest
    except ValidationError as error:
        raise ManifestError(
            f"a newer service wrote it, or it is none: {error.error_count()} fields do not fit"
        ) from error
