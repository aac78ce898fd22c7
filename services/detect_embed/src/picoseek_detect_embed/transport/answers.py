"""From what the pipeline found to the contract's messages."""

from __future__ import annotations

from picoseek_protos.v1 import embedding_pb2, object_pb2, picture_pb2

from picoseek_detect_embed.models.embedder import Vector
from picoseek_detect_embed.pipeline.outcome import CandidateSource, FoundObject, Timings

_SOURCE = {
    CandidateSource.REGION: object_pb2.OBJECT_SOURCE_REGION,
    CandidateSource.DETECTED: object_pb2.OBJECT_SOURCE_DETECTED,
    CandidateSource.WHOLE: object_pb2.OBJECT_SOURCE_WHOLE,
}


def object_message(found: FoundObject) -> object_pb2.Object:
    """Return an object as it travels."""
    candidate = found.candidate
    x1, y1, x2, y2 = candidate.box
    message = object_pb2.Object(
        index=candidate.index,
        source=_SOURCE[candidate.source],
        region_id=candidate.region_id,
        box=picture_pb2.Box(x1=x1, y1=y1, x2=x2, y2=y2),
        detector_score=candidate.score,
        detector_label=candidate.label,
        timings=timings_message(found.timings),
    )
    if found.vector is not None:
        message.embedding.CopyFrom(embedding_message(found.vector))
    if found.crop is not None:
        message.crop.CopyFrom(object_pb2.Crop(jpeg=found.crop.jpeg, width=found.crop.width, height=found.crop.height))
    return message


def embedding_message(vector: Vector) -> embedding_pb2.Embedding:
    """Return a vector as it travels."""
    return embedding_pb2.Embedding(
        vector=vector.data,
        type=embedding_pb2.VECTOR_TYPE_BITS if vector.binary else embedding_pb2.VECTOR_TYPE_FLOAT32,
        dimension=vector.dimension,
        space=vector.space,
    )


def timings_message(timings: Timings) -> object_pb2.StageTimings:
    """Return timings in microseconds."""
    return object_pb2.StageTimings(
        decode_us=_microseconds(timings.decode),
        detect_preprocess_us=_microseconds(timings.detect_preprocess),
        detect_queue_us=_microseconds(timings.detect_queue),
        detect_us=_microseconds(timings.detect),
        embed_preprocess_us=_microseconds(timings.embed_preprocess),
        embed_queue_us=_microseconds(timings.embed_queue),
        embed_us=_microseconds(timings.embed),
        crop_us=_microseconds(timings.crop),
        total_us=_microseconds(timings.total),
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
