"""What detect_embed is asked and answers, as messages."""

from __future__ import annotations

from collections.abc import Sequence

from picoseek_protos.v1 import detect_embed_pb2, model_pb2, object_pb2

from picoseek.detect_embed import DetectEmbedOptions, EmbedResult, PictureResult
from picoseek.error_parsing import error_of
from picoseek.model import Model, ModelState, ModelTask
from picoseek.picture import PictureInput
from picoseek.picture_object import Crop, ObjectSource, PictureObject, StageTimings
from picoseek.wire.enums import MODEL_STATES, MODEL_TASKS, SOURCES, WHOLE_PICTURES
from picoseek.wire.messages import make
from picoseek.wire.pictures import box_from, picture_message, region_messages
from picoseek.wire.vectors import embedding_from, space_from


def options_message(options: DetectEmbedOptions) -> detect_embed_pb2.DetectEmbedOptions:
    """Return the message of options."""
    message = make(
        detect_embed_pb2.DetectEmbedOptions,
        detector=options.detector,
        embedder=options.embedder,
        skip_detection=options.skip_detection,
        skip_embedding=options.skip_embedding,
        max_detections=options.max_detections,
        whole_picture=WHOLE_PICTURES.to_wire(options.whole_picture),
        score_threshold=options.score_threshold,
    )
    if options.crop is not None:
        crop = make(detect_embed_pb2.CropOptions, max_side=options.crop.max_side, quality=options.crop.quality)
        message.crop.CopyFrom(crop)
    return message


def detect_embed_request(
    pictures: Sequence[PictureInput], options: DetectEmbedOptions
) -> detect_embed_pb2.DetectEmbedRequest:
    """Return a request; paths are read."""
    return detect_embed_pb2.DetectEmbedRequest(
        pictures=[
            make(
                detect_embed_pb2.PictureInput,
                id=entry.id,
                picture=picture_message(entry.picture),
                regions=region_messages(entry.regions),
            )
            for entry in pictures
        ],
        options=options_message(options),
    )


def embed_request(pictures: Sequence[PictureInput], embedder: str) -> detect_embed_pb2.EmbedRequest:
    """Return a request; paths are read."""
    return make(
        detect_embed_pb2.EmbedRequest,
        pictures=[
            make(detect_embed_pb2.EmbedInput, id=entry.id, picture=picture_message(entry.picture)) for entry in pictures
        ],
        embedder=embedder,
    )


def picture_result_from(message: detect_embed_pb2.PictureResult) -> PictureResult:
    """Return what became of one picture."""
    return PictureResult(
        id=message.id,
        width=message.width,
        height=message.height,
        objects=tuple(object_from(found) for found in message.objects),
        timings=timings_from(message.timings),
        error=error_of(message.status),
    )


def embed_result_from(message: detect_embed_pb2.EmbedResult) -> EmbedResult:
    """Return what became of one crop."""
    error = error_of(message.status)
    return EmbedResult(
        id=message.id,
        embedding=None if error else embedding_from(message.embedding),
        timings=timings_from(message.timings),
        error=error,
    )


def object_from(message: object_pb2.Object) -> PictureObject:
    """Return an object."""
    crop = message.crop
    return PictureObject(
        index=message.index,
        source=SOURCES.from_wire(message.source, ObjectSource.DETECTED),
        box=box_from(message.box),
        detector_score=message.detector_score,
        embedding=embedding_from(message.embedding) if message.HasField("embedding") else None,
        detector_label=message.detector_label,
        region_id=message.region_id,
        track_id=message.track_id,
        crop=Crop(crop.jpeg, crop.width, crop.height) if message.HasField("crop") else None,
        timings=timings_from(message.timings),
    )


def timings_from(message: object_pb2.StageTimings) -> StageTimings:
    """Return timings."""
    return StageTimings(
        decode_us=message.decode_us,
        detect_preprocess_us=message.detect_preprocess_us,
        detect_queue_us=message.detect_queue_us,
        detect_us=message.detect_us,
        embed_preprocess_us=message.embed_preprocess_us,
        embed_queue_us=message.embed_queue_us,
        embed_us=message.embed_us,
        crop_us=message.crop_us,
        total_us=message.total_us,
    )


def model_from(message: model_pb2.Model) -> Model:
    """Return a model."""
    return Model(
        name=message.name,
        task=MODEL_TASKS.from_wire(message.task, ModelTask.UNSPECIFIED),
        state=MODEL_STATES.from_wire(message.state, ModelState.UNSPECIFIED),
        is_default=message.is_default,
        input_width=message.input_width,
        input_height=message.input_height,
        space=space_from(message.space) if message.HasField("space") else None,
        labels=tuple(message.labels),
        score_threshold=message.score_threshold,
        version=message.version,
        license=message.license,
        description=message.description,
        digest=message.digest,
        engine=message.engine,
        accuracy=dict(message.accuracy),
    )
