"""Operations as messages."""

from __future__ import annotations

from datetime import UTC

from picoseek_protos.v1 import operation_pb2

from picoseek.error_parsing import error_of
from picoseek.operation import Operation, OperationKind, OperationState
from picoseek.wire.enums import OPERATION_KINDS, OPERATION_STATES


def operation_from(message: operation_pb2.Operation) -> Operation:
    """Return an operation."""
    return Operation(
        id=message.id,
        kind=OPERATION_KINDS.from_wire(message.kind, OperationKind.UNSPECIFIED),
        collection=message.collection,
        state=OPERATION_STATES.from_wire(message.state, OperationState.UNSPECIFIED),
        done=message.done,
        total=message.total,
        unit=message.unit,
        error=error_of(message.error),
        created_at=message.created_at.ToDatetime(UTC) if message.HasField("created_at") else None,
        ended_at=message.ended_at.ToDatetime(UTC) if message.HasField("ended_at") else None,
        result=message.result,
    )
