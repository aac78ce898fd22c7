"""Documents: the references of a gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from picoseek.box import Box
from picoseek.collection import Revision
from picoseek.embedding import Vector

AttributeValue = str | int | float | bool | datetime | tuple[str, ...]
"""A value of an attribute, of the type that the collection's schema states."""

# Calling dict[str, AttributeValue] takes twenty times as long, and an answer has many documents.
_no_attributes: Callable[[], Mapping[str, AttributeValue]] = dict


@dataclass(frozen=True)
class Provenance:
    """Where a document came from."""

    source: str = ""
    """The picture: a path or an address, as the caller knows it."""
    crop_box: Box | None = None
    """The part of the picture that was embedded; None: the whole."""
    request_id: str = ""
    """Write that put it here. Set by the service."""
    added_at: datetime | None = None
    """When it was put here. Set by the service."""


@dataclass(frozen=True, eq=False)
class Document:
    """A vector and what is known of it."""

    id: str
    """Unique in the collection: 1 to 512 bytes of UTF-8 without control characters."""
    vector: Vector | None = None
    """The vector in the collection's type and dimension; None in answers that leave it out."""
    item: str = ""
    """The thing it shows; references of one product share it, and results group by it. Empty: the id."""
    labels: tuple[str, ...] = ()
    """Names for people; the first one is shown as the answer."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=_no_attributes)
    """Typed values under the collection's schema."""
    payload: bytes = b""
    """Anything, kept and returned as it is; at most 64 KiB."""
    provenance: Provenance | None = None
    """Where it came from."""

    @property
    def label(self) -> str:
        """The name to show: the first label, else the item, else the id."""
        return next(iter(self.labels), "") or self.item or self.id


@dataclass(frozen=True)
class DocumentMask:
    """Parts of a document that an answer shall hold; id and item always come."""

    vector: bool = False
    """Document.vector."""
    labels: bool = False
    """Document.labels."""
    attributes: bool = False
    """Document.attributes."""
    payload: bool = False
    """Document.payload."""
    provenance: bool = False
    """Document.provenance."""


@dataclass(frozen=True)
class UpsertResult:
    """What a write did; it is on disk."""

    revision: Revision
    """Searches at this revision or later see it."""
    inserted: int
    """Documents that were new."""
    replaced: int
    """Documents that took the place of one with the same id."""
    already_applied: bool
    """The request id was applied before; the figures are those of that time."""
    request_id: str
    """Name of the write."""


@dataclass(frozen=True)
class DeleteResult:
    """What a removal did; it is on disk."""

    revision: Revision
    """Searches at this revision or later do not see the documents."""
    deleted: int
    """Documents that were there and are gone."""
    already_applied: bool
    """The request id was applied before; the figures are those of that time."""
    request_id: str
    """Name of the write."""


@dataclass(frozen=True, eq=False)
class GetResult:
    """Documents that were asked for by id."""

    documents: tuple[Document, ...]
    """Those that are there, in the order of the request."""
    missing_ids: tuple[str, ...]
    """Those that are not."""
    revision: Revision
    """Revision of the answer."""


@dataclass(frozen=True)
class CountResult:
    """How many documents there are."""

    documents: int
    """Documents."""
    items: int
    """Different items among them."""
    revision: Revision
    """Revision of the answer."""
