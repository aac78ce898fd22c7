"""Snapshots: collections as they were at one revision, kept outside the service's own disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from picoseek.collection import Revision


@dataclass(frozen=True)
class Snapshot:
    """A collection as it was at one revision: settings, documents, applied request ids, indexes."""

    name: str
    """Unique in the collection."""
    collection: str
    """Name of the collection, which may be gone."""
    location: str = ""
    """Where it is: a folder or an object storage address."""
    revision: Revision = field(default_factory=Revision)
    """What it holds."""
    documents: int = 0
    """Documents in it."""
    size_bytes: int = 0
    """Bytes of it, those shared with other snapshots included."""
    new_bytes: int = 0
    """Bytes that had to be written for it."""
    created_at: datetime | None = None
    """When it was made."""
    digest: str = ""
    """"sha256:" and 64 hex digits over its manifest."""
    damage: str = ""
    """Why it cannot be restored, if its manifest cannot be read; empty otherwise, whatever else may be damaged."""
