"""From the contract's messages to what the pipeline takes."""

from __future__ import annotations

from collections.abc import Iterable

from picoseek_bundle import RawFormat
from picoseek_chassis.errors import invalid_argument, unimplemented
from picoseek_protos.v1 import detect_embed_pb2, picture_pb2

from picoseek_detect_embed.models.catalogue import Catalogue
from picoseek_detect_embed.pipeline.request import (
    CropFormat,
    EncodedPicture,
    PictureSource,
    RawPicture,
    RecognitionOptions,
    Region,
    WholePolicy,
)
from picoseek_detect_embed.transport.limits import CallLimits

_DEFAULT_DETECTIONS = 5
_LARGEST_CROP_SIDE = 2048

_WHOLE = {
    detect_embed_pb2.WHOLE_PICTURE_UNSPECIFIED: WholePolicy.FALLBACK,
    detect_embed_pb2.WHOLE_PICTURE_FALLBACK: WholePolicy.FALLBACK,
    detect_embed_pb2.WHOLE_PICTURE_ALWAYS: WholePolicy.ALWAYS,
    detect_embed_pb2.WHOLE_PICTURE_NEVER: WholePolicy.NEVER,
}
_RAW = {
    picture_pb2.PIXEL_FORMAT_BGR: RawFormat.BGR,
    picture_pb2.PIXEL_FORMAT_RGB: RawFormat.RGB,
    picture_pb2.PIXEL_FORMAT_NV12: RawFormat.NV12,
}


def read_options(
    message: detect_embed_pb2.DetectEmbedOptions, catalogue: Catalogue, limits: CallLimits
) -> RecognitionOptions:
    """Return what to do with pictures, with models found and defaults filled in.

    Raises:
        ServiceError: MODEL_NOT_FOUND or OPTION_INVALID.
    """
    detector = None if message.skip_detection else catalogue.detector(message.detector)
    embedder = None if message.skip_embedding else catalogue.embedder(message.embedder)
    threshold = detector.score_threshold if detector is not None else 0.0
    if message.HasField("score_threshold"):
        threshold = message.score_threshold
        if not 0 <= threshold <= 1:
            raise invalid_argument(
                "OPTION_INVALID", f"score_threshold {threshold:g} must be from 0 to 1", option="score_threshold"
            )
    if message.max_detections > limits.max_detections:
        raise invalid_argument(
            "OPTION_INVALID",
            f"max_detections {message.max_detections} must be at most {limits.max_detections}",
            option="max_detections",
        )
    if message.whole_picture not in _WHOLE:
        raise invalid_argument(
            "OPTION_INVALID", f"whole_picture {message.whole_picture} is unknown", option="whole_picture"
        )
    return RecognitionOptions(
        detector=detector,
        embedder=embedder,
        score_threshold=threshold,
        max_detections=message.max_detections or _DEFAULT_DETECTIONS,
        whole=_WHOLE[message.whole_picture],
        crop=_read_crop(message.crop) if message.HasField("crop") else None,
    )


def read_picture(message: picture_pb2.Picture) -> PictureSource:
    """Return a picture as it came.

    Raises:
        ServiceError: PICTURE_EMPTY, RAW_LAYOUT_INVALID or LOCAL_HANDLE_UNSUPPORTED.
    """
    form = message.WhichOneof("source")
    if form == "encoded":
        return EncodedPicture(message.encoded)
    if form == "raw":
        raw = message.raw
        if raw.format not in _RAW:
            raise invalid_argument("RAW_LAYOUT_INVALID", f"pixel format {raw.format} is none of BGR, RGB, NV12")
        return RawPicture(raw.data, _RAW[raw.format], raw.width, raw.height, tuple(raw.strides))
    if form == "local":
        raise unimplemented(
            "LOCAL_HANDLE_UNSUPPORTED", "this service does not read shared memory; send the picture's bytes"
        )
    raise invalid_argument("PICTURE_EMPTY", "the picture is not set; send a JPEG, PNG, WebP or BMP file")


def read_regions(messages: Iterable[picture_pb2.Region], limits: CallLimits) -> tuple[Region, ...]:
    """Return the caller's regions; those without a name get their position.

    Raises:
        ServiceError: OPTION_INVALID when there are too many.
    """
    regions = tuple(
        Region(message.id or str(position), (message.box.x1, message.box.y1, message.box.x2, message.box.y2))
        for position, message in enumerate(messages)
    )
    if len(regions) > limits.max_regions:
        raise invalid_argument(
            "OPTION_INVALID",
            f"the picture has {len(regions)} regions, the limit is {limits.max_regions}; send it twice",
            option="regions",
        )
    return regions


def _read_crop(message: detect_embed_pb2.CropOptions) -> CropFormat:
    default = CropFormat()
    if message.max_side > _LARGEST_CROP_SIDE:
        raise invalid_argument(
            "OPTION_INVALID",
            f"crop.max_side {message.max_side} must be at most {_LARGEST_CROP_SIDE}",
            option="crop.max_side",
        )
    if message.quality > 100:
        raise invalid_argument(
            "OPTION_INVALID", f"crop.quality {message.quality} must be from 1 to 100", option="crop.quality"
        )
    return CropFormat(message.max_side or default.max_side, message.quality or default.quality)
