"""Messages of a stream of frames."""

from __future__ import annotations

from datetime import UTC

from picoseek_protos.v1 import detect_embed_pb2

from picoseek.error_parsing import error_of
from picoseek.stream import (
    DropReason,
    Frame,
    FrameDone,
    FrameDropped,
    FrameObject,
    StreamAnswer,
    StreamOptions,
)
from picoseek.wire.detections import object_from, options_message, timings_from
from picoseek.wire.enums import DROP_REASONS, FRAME_POLICIES
from picoseek.wire.messages import make
from picoseek.wire.pictures import picture_message, region_messages


def config_message(options: StreamOptions) -> detect_embed_pb2.StreamDetectEmbedRequest:
    """Return the first message of a stream."""
    config = make(
        detect_embed_pb2.StreamConfig,
        options=options_message(options.detect_embed),
        policy=FRAME_POLICIES.to_wire(options.policy),
        max_in_flight=options.max_in_flight,
    )
    return detect_embed_pb2.StreamDetectEmbedRequest(config=config)


def frame_message(frame: Frame) -> detect_embed_pb2.StreamDetectEmbedRequest:
    """Return the message of a frame; a path is read."""
    message = make(
        detect_embed_pb2.Frame,
        frame_id=frame.frame_id,
        picture=picture_message(frame.picture),
        regions=region_messages(frame.regions),
    )
    if frame.captured_at is not None:
        message.captured_at.FromDatetime(frame.captured_at)
    if frame.timeout_s is not None:
        message.timeout.FromMilliseconds(round(frame.timeout_s * 1000))
    return detect_embed_pb2.StreamDetectEmbedRequest(frame=message)


def answer_from(message: detect_embed_pb2.StreamDetectEmbedResponse) -> StreamAnswer | None:
    """Return what an answer says; None: it is of a kind that this stream did not ask for."""
    kind = message.WhichOneof("message")
    if kind == "object":
        return FrameObject(message.object.frame_id, object_from(message.object.object))
    if kind == "frame_done":
        done = message.frame_done
        return FrameDone(
            frame_id=done.frame_id,
            width=done.width,
            height=done.height,
            objects=done.objects,
            captured_at=done.captured_at.ToDatetime(UTC) if done.HasField("captured_at") else None,
            timings=timings_from(done.timings),
            error=error_of(done.status),
        )
    if kind == "frame_dropped":
        dropped = message.frame_dropped
        return FrameDropped(dropped.frame_id, DROP_REASONS.from_wire(dropped.reason, DropReason.UNSPECIFIED))
    return None
