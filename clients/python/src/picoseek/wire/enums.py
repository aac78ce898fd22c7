"""Enumerations of the contract by this package's values."""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

from picoseek_protos.v1 import (
    collection_pb2,
    detect_embed_pb2,
    embedding_pb2,
    model_pb2,
    object_pb2,
    operation_pb2,
    search_pb2,
)

from picoseek.collection import AttributeType
from picoseek.detect_embed import WholePicture
from picoseek.embedding import Metric, VectorType
from picoseek.errors import InvalidArgumentError
from picoseek.model import ModelState, ModelTask
from picoseek.operation import OperationKind, OperationState
from picoseek.picture_object import ObjectSource
from picoseek.stream import DropReason, FramePolicy
from picoseek.verdict import VerdictKind

ValueT = TypeVar("ValueT", bound=Enum)
WireT = TypeVar("WireT", bound=int)


class EnumPairs(Generic[ValueT, WireT]):
    """A one-to-one relation between an enumeration here and one of the contract."""

    def __init__(self, pairs: dict[ValueT, WireT]) -> None:
        self._to_wire = pairs
        self._from_wire = {int(wire): value for value, wire in pairs.items()}

    def to_wire(self, value: ValueT) -> WireT:
        """Return the contract's number of a value.

        Raises:
            InvalidArgumentError: it is none of the enumeration.
        """
        number = self._to_wire.get(value)
        if number is None:
            known = ", ".join(map(str, self._to_wire))
            raise InvalidArgumentError(f"{value!r} is none of {known}")
        return number

    def from_wire(self, number: int, otherwise: ValueT) -> ValueT:
        """Return the value of a number; a number of a newer contract gives `otherwise`."""
        return self._from_wire.get(number, otherwise)


SOURCES = EnumPairs(
    {
        ObjectSource.DETECTED: object_pb2.OBJECT_SOURCE_DETECTED,
        ObjectSource.REGION: object_pb2.OBJECT_SOURCE_REGION,
        ObjectSource.WHOLE: object_pb2.OBJECT_SOURCE_WHOLE,
    }
)
VECTOR_TYPES = EnumPairs(
    {VectorType.FLOAT32: embedding_pb2.VECTOR_TYPE_FLOAT32, VectorType.BITS: embedding_pb2.VECTOR_TYPE_BITS}
)
METRICS = EnumPairs(
    {
        Metric.INNER_PRODUCT: embedding_pb2.METRIC_INNER_PRODUCT,
        Metric.COSINE: embedding_pb2.METRIC_COSINE,
        Metric.L2: embedding_pb2.METRIC_L2,
        Metric.HAMMING: embedding_pb2.METRIC_HAMMING,
    }
)
WHOLE_PICTURES = EnumPairs(
    {
        WholePicture.FALLBACK: detect_embed_pb2.WHOLE_PICTURE_FALLBACK,
        WholePicture.ALWAYS: detect_embed_pb2.WHOLE_PICTURE_ALWAYS,
        WholePicture.NEVER: detect_embed_pb2.WHOLE_PICTURE_NEVER,
    }
)
FRAME_POLICIES = EnumPairs(
    {
        FramePolicy.EVERY_FRAME: detect_embed_pb2.FRAME_POLICY_EVERY_FRAME,
        FramePolicy.LATEST_WINS: detect_embed_pb2.FRAME_POLICY_LATEST_WINS,
    }
)
DROP_REASONS = EnumPairs(
    {
        DropReason.UNSPECIFIED: detect_embed_pb2.DROP_REASON_UNSPECIFIED,
        DropReason.SUPERSEDED: detect_embed_pb2.DROP_REASON_SUPERSEDED,
        DropReason.EXPIRED: detect_embed_pb2.DROP_REASON_EXPIRED,
        DropReason.OVERLOADED: detect_embed_pb2.DROP_REASON_OVERLOADED,
    }
)
MODEL_TASKS = EnumPairs(
    {
        ModelTask.UNSPECIFIED: model_pb2.MODEL_TASK_UNSPECIFIED,
        ModelTask.DETECTION: model_pb2.MODEL_TASK_DETECTION,
        ModelTask.EMBEDDING: model_pb2.MODEL_TASK_EMBEDDING,
    }
)
MODEL_STATES = EnumPairs(
    {
        ModelState.UNSPECIFIED: model_pb2.MODEL_STATE_UNSPECIFIED,
        ModelState.LOADING: model_pb2.MODEL_STATE_LOADING,
        ModelState.READY: model_pb2.MODEL_STATE_READY,
        ModelState.FAILED: model_pb2.MODEL_STATE_FAILED,
    }
)
ATTRIBUTE_TYPES = EnumPairs(
    {
        AttributeType.STRING: collection_pb2.ATTRIBUTE_TYPE_STRING,
        AttributeType.INT: collection_pb2.ATTRIBUTE_TYPE_INT,
        AttributeType.DOUBLE: collection_pb2.ATTRIBUTE_TYPE_DOUBLE,
        AttributeType.BOOL: collection_pb2.ATTRIBUTE_TYPE_BOOL,
        AttributeType.TIMESTAMP: collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP,
        AttributeType.STRING_LIST: collection_pb2.ATTRIBUTE_TYPE_STRING_LIST,
    }
)
OPERATION_KINDS = EnumPairs(
    {
        OperationKind.UNSPECIFIED: operation_pb2.OPERATION_KIND_UNSPECIFIED,
        OperationKind.CREATE_SNAPSHOT: operation_pb2.OPERATION_KIND_CREATE_SNAPSHOT,
        OperationKind.RESTORE_SNAPSHOT: operation_pb2.OPERATION_KIND_RESTORE_SNAPSHOT,
        OperationKind.IMPORT: operation_pb2.OPERATION_KIND_IMPORT,
        OperationKind.EXPORT: operation_pb2.OPERATION_KIND_EXPORT,
        OperationKind.REBUILD: operation_pb2.OPERATION_KIND_REBUILD,
        OperationKind.DELETE_SNAPSHOT: operation_pb2.OPERATION_KIND_DELETE_SNAPSHOT,
        OperationKind.VERIFY_SNAPSHOT: operation_pb2.OPERATION_KIND_VERIFY_SNAPSHOT,
    }
)
OPERATION_STATES = EnumPairs(
    {
        OperationState.UNSPECIFIED: operation_pb2.OPERATION_STATE_UNSPECIFIED,
        OperationState.PENDING: operation_pb2.OPERATION_STATE_PENDING,
        OperationState.RUNNING: operation_pb2.OPERATION_STATE_RUNNING,
        OperationState.SUCCEEDED: operation_pb2.OPERATION_STATE_SUCCEEDED,
        OperationState.FAILED: operation_pb2.OPERATION_STATE_FAILED,
        OperationState.CANCELLED: operation_pb2.OPERATION_STATE_CANCELLED,
    }
)
VERDICT_KINDS = EnumPairs(
    {
        VerdictKind.MATCH: search_pb2.VERDICT_KIND_MATCH,
        VerdictKind.AMBIGUOUS: search_pb2.VERDICT_KIND_AMBIGUOUS,
        VerdictKind.UNKNOWN: search_pb2.VERDICT_KIND_UNKNOWN,
        VerdictKind.UNCALIBRATED: search_pb2.VERDICT_KIND_UNCALIBRATED,
    }
)
