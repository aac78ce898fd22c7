"""Model bundles: the contract between training and the detect_embed service."""

from picoseek_bundle.bundle import Bundle, check_bundle_folder, default_bundle, load_bundle, write_bundle
from picoseek_bundle.decode import PictureLimits, RawFormat, decode_picture, from_raw
from picoseek_bundle.errors import BundleError, ManifestError, PictureError
from picoseek_bundle.manifest import (
    Accuracy,
    DetectorOutput,
    EmbedderOutput,
    FileEntry,
    InputSpec,
    Interpolation,
    Manifest,
    ResizeMode,
    Task,
)
from picoseek_bundle.preprocess import Preprocessor
from picoseek_bundle.space import space_digest

__all__ = [
    "Accuracy",
    "Bundle",
    "BundleError",
    "DetectorOutput",
    "EmbedderOutput",
    "FileEntry",
    "InputSpec",
    "Interpolation",
    "Manifest",
    "ManifestError",
    "PictureError",
    "PictureLimits",
    "Preprocessor",
    "RawFormat",
    "ResizeMode",
    "Task",
    "check_bundle_folder",
    "decode_picture",
    "default_bundle",
    "from_raw",
    "load_bundle",
    "space_digest",
    "write_bundle",
]
