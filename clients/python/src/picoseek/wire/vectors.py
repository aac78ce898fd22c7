"""Vectors as the bytes in which they travel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from picoseek_protos.v1 import embedding_pb2

from picoseek.embedding import Embedding, EmbeddingSpace, Metric, Vector, VectorType
from picoseek.errors import InvalidArgumentError
from picoseek.wire.enums import METRICS, VECTOR_TYPES
from picoseek.wire.messages import make


def pack_vector(vector: Vector) -> bytes:
    """Return a vector as little-endian float32 or packed bits.

    Raises:
        InvalidArgumentError: it is neither float32 nor uint8 of one dimension.
    """
    if np.ndim(vector) != 1:
        raise InvalidArgumentError(f"a vector has one dimension, this array has {np.ndim(vector)}")
    return pack_vectors([vector])


def pack_vectors(vectors: Sequence[Vector] | Vector) -> bytes:
    """Return vectors one after the other.

    Raises:
        InvalidArgumentError: they are neither float32 nor uint8, or of different lengths.
    """
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise InvalidArgumentError("the vectors have different lengths") from error
    if array.dtype == np.uint8:
        return array.tobytes()
    if array.dtype.kind != "f":
        raise InvalidArgumentError(f"vectors are float32, or uint8 of packed bits, not {array.dtype}")
    return array.astype("<f4", copy=False).tobytes()


def unpack_vector(data: bytes, vector_type: VectorType) -> Vector:
    """Return the vector that some bytes hold."""
    if vector_type is VectorType.BITS:
        return np.frombuffer(data, dtype=np.uint8)
    return unpack_floats(data)


def unpack_floats(data: bytes) -> NDArray[np.float32]:
    """Return little-endian float32 as an array."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)


def embedding_from(message: embedding_pb2.Embedding) -> Embedding:
    """Return an embedding."""
    vector_type = VECTOR_TYPES.from_wire(message.type, VectorType.FLOAT32)
    return Embedding(unpack_vector(message.vector, vector_type), message.space, message.dimension, vector_type)


def space_message(space: EmbeddingSpace) -> embedding_pb2.EmbeddingSpace:
    """Return the message of a space."""
    message = make(
        embedding_pb2.EmbeddingSpace,
        digest=space.digest,
        dimension=space.dimension,
        type=VECTOR_TYPES.to_wire(space.type),
        normalized=space.normalized,
    )
    if space.metric is not None:
        message.metric = METRICS.to_wire(space.metric)
    return message


def space_from(message: embedding_pb2.EmbeddingSpace) -> EmbeddingSpace:
    """Return a space."""
    return EmbeddingSpace(
        digest=message.digest,
        dimension=message.dimension,
        type=VECTOR_TYPES.from_wire(message.type, VectorType.FLOAT32),
        normalized=message.normalized,
        metric=METRICS.from_wire(message.metric, Metric.COSINE) if message.metric else None,
    )
