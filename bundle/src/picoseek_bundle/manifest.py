"""The manifest of a model bundle: what a folder of inference files is, expects and returns."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from picoseek_bundle.errors import ManifestError

MANIFEST_NAME = "manifest.json"
"""File name of the manifest in a bundle's folder."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Task(StrEnum):
    """What a model does."""

    DETECTION = "detection"
    EMBEDDING = "embedding"


class Interpolation(StrEnum):
    """How pictures are resized, by OpenCV's names."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    AREA = "area"


class ResizeMode(StrEnum):
    """How a picture is brought to the input size."""

    STRETCH = "stretch"
    """Both sides to the input size; the ratio is not kept."""
    SHORT_SIDE_CROP = "short_side_crop"
    """The short side to `short_side`, then a centre crop of the input size."""


class InputSpec(_Part):
    """Input of a network: [N, 3, height, width] float32."""

    width: Annotated[int, Field(ge=8, le=8192)]
    """Width in pixels."""
    height: Annotated[int, Field(ge=8, le=8192)]
    """Height in pixels."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the three channels."""
    interpolation: Interpolation = Interpolation.BILINEAR
    """How pictures are resized."""
    resize: ResizeMode = ResizeMode.STRETCH
    """How a picture is brought to the input size."""
    short_side: int | None = None
    """Length of the short side before the crop, in pixels; with `short_side_crop` only."""
    scale: float = 1.0 / 255.0
    """Samples (0 to 255) are multiplied by it first."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted after scaling, a value a channel in `channel_order`."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Divided by last, a value a channel in `channel_order`."""

    @field_validator("std")
    @classmethod
    def _std_is_positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("every std must be above 0")
        return value

    @model_validator(mode="after")
    def _short_side_fits(self) -> InputSpec:
        if (self.resize is ResizeMode.SHORT_SIDE_CROP) != (self.short_side is not None):
            raise ValueError("short_side goes with resize = short_side_crop, and only with it")
        if self.short_side is not None and self.short_side < max(self.width, self.height):
            raise ValueError("short_side must be at least the input size")
        return self


class DetectorOutput(_Part):
    """Output of a detector: rows of (class, score, x1, y1, x2, y2), NMS inside the graph."""

    kind: Literal["boxes"] = "boxes"
    """Discriminator."""
    boxes: str | None = None
    """Name of the output with [M, 6] float32 rows; unset: the first output."""
    counts: str | None = None
    """Name of the output with [N] int32 rows a picture; unset: the second output."""
    labels: tuple[str, ...] = ("foreground",)
    """Class names in the order of the network."""
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Default lower bound of scores."""


class EmbedderOutput(_Part):
    """Output of an embedder: [N, dimension] float32, before normalisation."""

    kind: Literal["embedding"] = "embedding"
    """Discriminator."""
    dimension: Annotated[int, Field(ge=1, le=65536)]
    """Number of components."""
    normalize: bool = True
    """Whether the service brings vectors to unit L2 norm."""
    binarize: bool = False
    """Whether the service keeps the signs only, packed, a component above 0 being a 1."""
    metric: Literal["cosine", "inner_product", "l2", "hamming"] = "cosine"
    """Metric for which the model was trained."""

    @model_validator(mode="after")
    def _bits_are_whole_bytes(self) -> EmbedderOutput:
        if self.binarize and (self.dimension % 8 or self.metric != "hamming"):
            raise ValueError("binarize needs a dimension divisible by 8 and metric = hamming")
        return self


class FileEntry(_Part):
    """A file of the bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Checksum of its content."""
    size: Annotated[int, Field(ge=0)]
    """Length in bytes."""


class Accuracy(_Part):
    """A measured figure."""

    data: str
    """Data set and split, for instance "grocery/test"."""
    metric: str
    """What was measured, for instance "recall_at_1"."""
    value: float
    """The figure."""


class Manifest(_Part):
    """Everything that a service must know of a model, and that a person may ask."""

    format_version: Literal[1] = 1
    """Version of this layout."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Name in requests."""
    version: Annotated[str, Field(min_length=1, max_length=64)]
    """Version of the weights."""
    task: Task
    """What the model does."""
    program: str
    """File with the network: Paddle's `.json` or `.pdmodel`."""
    weights: str
    """File with the weights: Paddle's `.pdiparams`."""
    input: InputSpec
    """What the network takes."""
    input_name: str = "image"
    """Name of the picture input."""
    scale_factor_input: str | None = None
    """Name of the [N, 2] input (scale_y, scale_x) with which a detector returns boxes in the picture's own pixels."""
    im_shape_input: str | None = None
    """Name of the [N, 2] input (height, width) of the resized picture, for exports that ask for it."""
    output: Annotated[DetectorOutput | EmbedderOutput, Field(discriminator="kind")]
    """What the network returns."""
    network: str
    """Architecture, for people."""
    license: str
    """SPDX expression of the weights' licence."""
    description: str = ""
    """What it is good for."""
    trained_on: tuple[str, ...] = ()
    """Data sets, with their licences."""
    recipe: str = ""
    """How it was trained: the configuration's name or command."""
    accuracy: tuple[Accuracy, ...] = ()
    """Measured figures."""
    files: dict[str, FileEntry]
    """Every file of the bundle but the manifest, by path relative to the folder."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Manifest:
        wanted = "boxes" if self.task is Task.DETECTION else "embedding"
        if self.output.kind != wanted:
            raise ValueError(f"task {self.task.value} needs an output of kind {wanted}")
        for role in ("program", "weights"):
            if getattr(self, role) not in self.files:
                raise ValueError(f"{role} {getattr(self, role)!r} is not among the files")
        for name in self.files:
            if name.startswith("/") or ".." in name.split("/") or "\\" in name:
                raise ValueError(f"file {name!r} must lie in the bundle's folder")
        return self

    def to_json(self) -> str:
        """Return the manifest as stored: indented JSON with a closing newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read a stored manifest.

        Raises:
            ManifestError: it is no JSON or breaks a rule.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise manifest_error(error) from error

    def digest(self) -> str:
        """Return "sha256:" and the hex digest of the manifest as stored; it covers every file by its checksum."""
        return "sha256:" + hashlib.sha256(self.to_json().encode()).hexdigest()


def manifest_error(error: ValidationError) -> ManifestError:
    """Return what a person must know of the first rule that a manifest breaks."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return ManifestError(f"manifest field {field}: {first['msg']}" if field else f"manifest: {first['msg']}")
