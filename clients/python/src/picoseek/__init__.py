"""PicoSeek: recognise what is in a picture by looking it up in a gallery."""

from picoseek.answer_policy import AnswerPolicy
from picoseek.async_client import AsyncClient
from picoseek.async_gallery import AsyncGallery
from picoseek.async_recognizer import AsyncRecognizer, RecognizerConfig
from picoseek.box import Box, Region
from picoseek.client import Client
from picoseek.collection import AttributeField, AttributeType, Collection, IndexConfig, Revision
from picoseek.connection import ConnectionConfig, KeepAliveConfig, RetryConfig
from picoseek.detect_embed import CropOptions, DetectEmbedOptions, EmbedResult, PictureResult, WholePicture
from picoseek.document import (
    AttributeValue,
    CountResult,
    DeleteResult,
    Document,
    DocumentMask,
    GetResult,
    Provenance,
    UpsertResult,
)
from picoseek.embedding import Embedding, EmbeddingSpace, Metric, Vector, VectorType
from picoseek.errors import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PicoSeekError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)
from picoseek.gallery import Gallery
from picoseek.gallery_import import ImportOptions, ImportProgress
from picoseek.labelled_pictures import LabelledPicture, read_labelled_pictures
from picoseek.model import Model, ModelState, ModelTask
from picoseek.picture import PictureInput, PictureSource
from picoseek.picture_object import Crop, ObjectSource, PictureObject, StageTimings
from picoseek.recognition import Candidate, FrameRecognition, Recognition, RecognizedObject
from picoseek.recognizer import Recognizer
from picoseek.result_nms import result_nms
from picoseek.search import Hit, SearchOptions, SearchResult
from picoseek.stream import (
    DropReason,
    Frame,
    FrameDone,
    FrameDropped,
    FrameObject,
    FramePolicy,
    StreamAnswer,
    StreamOptions,
)
from picoseek.threshold import derive_threshold

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "AnswerPolicy",
    "AsyncClient",
    "AsyncGallery",
    "AsyncRecognizer",
    "AttributeField",
    "AttributeType",
    "AttributeValue",
    "Box",
    "Candidate",
    "Client",
    "Collection",
    "ConnectionConfig",
    "CountResult",
    "Crop",
    "CropOptions",
    "DataLossError",
    "DeadlineExceededError",
    "DeleteResult",
    "DetectEmbedOptions",
    "Document",
    "DocumentMask",
    "DropReason",
    "EmbedResult",
    "Embedding",
    "EmbeddingSpace",
    "FailedPreconditionError",
    "Frame",
    "FrameDone",
    "FrameDropped",
    "FrameObject",
    "FramePolicy",
    "FrameRecognition",
    "Gallery",
    "GetResult",
    "Hit",
    "ImportOptions",
    "ImportProgress",
    "IndexConfig",
    "InternalError",
    "InvalidArgumentError",
    "KeepAliveConfig",
    "LabelledPicture",
    "Metric",
    "Model",
    "ModelState",
    "ModelTask",
    "NotFoundError",
    "ObjectSource",
    "PicoSeekError",
    "PictureInput",
    "PictureObject",
    "PictureResult",
    "PictureSource",
    "Provenance",
    "Recognition",
    "RecognizedObject",
    "Recognizer",
    "RecognizerConfig",
    "Region",
    "ResourceExhaustedError",
    "RetryConfig",
    "Revision",
    "SearchOptions",
    "SearchResult",
    "StageTimings",
    "StreamAnswer",
    "StreamOptions",
    "UnavailableError",
    "UnimplementedError",
    "UpsertResult",
    "Vector",
    "VectorType",
    "WholePicture",
    "derive_threshold",
    "read_labelled_pictures",
    "result_nms",
]
