"""Provenance as messages."""

from __future__ import annotations

from datetime import UTC

from picoseek_protos.v1 import document_pb2

from picoseek.document import Provenance
from picoseek.wire.pictures import box_from


def provenance_from(message: document_pb2.Provenance) -> Provenance:
    """Return where a document came from."""
    return Provenance(
        source=message.source,
        crop_box=box_from(message.crop_box) if message.HasField("crop_box") else None,
        request_id=message.request_id,
        added_at=message.added_at.ToDatetime(UTC) if message.HasField("added_at") else None,
    )
