"""PicoSeek: recognise what is in a picture by looking it up in a gallery."""

from picoseek.answer_policy import AnswerPolicy
from picoseek.async_client import AsyncClient
from picoseek.async_collection_transfer import AsyncCollectionTransfer, TransferProgress
from picoseek.async_gallery import AsyncGallery
from picoseek.async_recognizer import AsyncRecognizer, RecognizerConfig
from picoseek.box import Box, Region
from picoseek.client import Client
from picoseek.collection import (
    Alias,
    AttributeField,
    AttributeType,
    Collection,
    CollectionUpdate,
    IndexConfig,
    Revision,
)
from picoseek.collection_transfer import CollectionTransfer
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
from picoseek.index_state import IndexSegment, IndexState
from picoseek.labelled_pictures import LabelledPicture, PictureList, list_pictures, read_labelled_pictures
from picoseek.model import Model, ModelState, ModelTask
from picoseek.operation import Operation, OperationKind, OperationState
from picoseek.picture import PictureInput, PictureSource
from picoseek.picture_object import Crop, ObjectSource, PictureObject, StageTimings
from picoseek.recognition import Candidate, FrameRecognition, Recognition, RecognizedObject
from picoseek.recognizer import Recognizer
from picoseek.result_nms import result_nms
from picoseek.search import Hit, SearchOptions, SearchResult
from picoseek.snapshot import Snapshot
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
from picoseek.verdict import (
    Calibration,
    Explanation,
    RateThreshold,
    RecallEstimate,
    SearchQuality,
    SegmentSearch,
    Verdict,
    VerdictKind,
)

__all__ = [
    "AbortedError",
    "Alias",
    "AlreadyExistsError",
    "AnswerPolicy",
    "AsyncClient",
    "AsyncCollectionTransfer",
    "AsyncGallery",
    "AsyncRecognizer",
    "AttributeField",
    "AttributeType",
    "AttributeValue",
    "Box",
    "Calibration",
    "Candidate",
    "Client",
    "Collection",
    "CollectionTransfer",
    "CollectionUpdate",
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
    "Explanation",
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
    "IndexSegment",
    "IndexState",
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
    "Operation",
    "OperationKind",
    "OperationState",
    "PicoSeekError",
    "PictureInput",
    "PictureList",
    "PictureObject",
    "PictureResult",
    "PictureSource",
    "Provenance",
    "RateThreshold",
    "RecallEstimate",
    "Recognition",
    "RecognizedObject",
    "Recognizer",
    "RecognizerConfig",
    "Region",
    "ResourceExhaustedError",
    "RetryConfig",
    "Revision",
    "SearchOptions",
    "SearchQuality",
    "SearchResult",
    "SegmentSearch",
    "Snapshot",
    "StageTimings",
    "StreamAnswer",
    "StreamOptions",
    "TransferProgress",
    "UnavailableError",
    "UnimplementedError",
    "UpsertResult",
    "Vector",
    "VectorType",
    "Verdict",
    "VerdictKind",
    "WholePicture",
    "derive_threshold",
    "list_pictures",
    "read_labelled_pictures",
    "result_nms",
]
