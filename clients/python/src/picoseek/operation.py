"""Work of the search service that outlasts a call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from picoseek.errors import PicoSeekError


class OperationKind(Enum):
    """What an operation does."""

    UNSPECIFIED = "unspecified"
    """Something that this client does not know."""
    CREATE_SNAPSHOT = "create_snapshot"
    """Writes a snapshot."""
    RESTORE_SNAPSHOT = "restore_snapshot"
    """Makes a collection of a snapshot."""
    IMPORT = "import"
    """Reads documents from files."""
    EXPORT = "export"
    """Writes documents to files."""
    REBUILD = "rebuild"
    """Builds an index anew."""
    DELETE_SNAPSHOT = "delete_snapshot"
    """Removes a snapshot."""
    VERIFY_SNAPSHOT = "verify_snapshot"
    """Compares a snapshot with its checksums."""


class OperationState(Enum):
    """How an operation stands."""

    UNSPECIFIED = "unspecified"
    """Something that this client does not know."""
    PENDING = "pending"
    """Waits for its turn."""
    RUNNING = "running"
    """Runs."""
    SUCCEEDED = "succeeded"
    """Ended as asked."""
    FAILED = "failed"
    """Ended with an error."""
    CANCELLED = "cancelled"
    """Ended because it was cancelled."""


@dataclass(frozen=True)
class Operation:
    """Work that outlasts a call."""

    id: str
    """Unique in the service."""
    kind: OperationKind
    """What it does."""
    collection: str
    """Collection it works on."""
    state: OperationState
    """How it stands."""
    done: int = 0
    """Units done."""
    total: int = 0
    """Units in all; 0: not known yet."""
    unit: str = ""
    """"documents", "bytes" or "blobs"."""
    error: PicoSeekError | None = None
    """Why it failed, if it did."""
    created_at: datetime | None = None
    """When it was asked for."""
    ended_at: datetime | None = None
    """When it ended."""
    result: str = ""
    """What it made: the name of a snapshot, an address, a collection."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.ended_at is not None
