"""What the index of a collection is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexSegment:
    """One part of an index."""

    number: int
    """Number of the segment in the collection."""
    kind: str
    """"growing", "sealing" or a factory string."""
    rows: int
    """Rows, removed ones included."""
    live_rows: int
    """Rows that are live."""
    memory_bytes: int
    """Memory of its vectors or codes and links in bytes, estimated; mapped files are not counted."""


@dataclass(frozen=True)
class IndexState:
    """What an index is made of, and whether it is complete."""

    pending: bool
    """Part of it is being built or merged, or is due to be; False: as long as nothing is written, it stays as it is."""
    segments: tuple[IndexSegment, ...]
    """Its parts, oldest first."""
    process_memory_bytes: int
    """Memory of the process that serves it in bytes, mapped files left out: of all its collections, and what it takes
    by itself. 0: not known."""

    @property
    def memory_bytes(self) -> int:
        """Memory of all parts in bytes, see IndexSegment.memory_bytes."""
        return sum(segment.memory_bytes for segment in self.segments)
