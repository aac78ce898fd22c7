"""Snapshots as messages."""

from __future__ import annotations

from datetime import UTC

from picoseek_protos.v1 import snapshot_pb2

from picoseek.snapshot import Snapshot
from picoseek.wire.galleries import revision_from


def snapshot_from(message: snapshot_pb2.Snapshot) -> Snapshot:
    """Return a snapshot."""
    return Snapshot(
        name=message.name,
        collection=message.collection,
        location=message.location,
        revision=revision_from(message.revision),
        documents=message.documents,
        size_bytes=message.size_bytes,
        new_bytes=message.new_bytes,
        created_at=message.created_at.ToDatetime(UTC) if message.HasField("created_at") else None,
        digest=message.digest,
        damage=message.damage,
    )
