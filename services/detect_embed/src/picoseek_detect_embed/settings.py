"""Settings of the detect_embed service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from picoseek_bundle import PictureLimits
from picoseek_chassis.settings import ServiceSettings
from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from picoseek_detect_embed.engine.supervisor import RestartPolicy
from picoseek_detect_embed.models.served_model import EngineOptions

_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class DetectEmbedSettings(ServiceSettings):
    """Settings of the service, as PICOSEEK_DETECT_EMBED_… in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="PICOSEEK_DETECT_EMBED_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    port: Annotated[int, Field(ge=0, le=65535)] = 7071
    """Port to listen on; 0: any free one, written to the log."""

    bundles: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders of the bundles to serve, separated like the PATH; a task without any gets the one that ships."""
    default_detector: str = ""
    """Detector of requests that name none; empty: the first."""
    default_embedder: str = ""
    """Embedder of requests that name none; empty: the first."""

    engines: Annotated[int, Field(ge=1, le=64)] = 1
    """Engine processes a model. Each takes 350 to 900 MB."""
    cpu_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads of one engine; 0: the cores shared out among the engines of one model."""
    device: Literal["cpu", "gpu"] = "cpu"
    """Where engines run. "gpu" needs Paddle's CUDA build, and is not covered by the tests of this repository."""
    gpus: Annotated[tuple[int, ...], NoDecode] = (0,)
    """GPUs over which the engines are spread, separated by commas."""
    gpu_memory_mb: Annotated[int, Field(ge=64)] = 1024
    """GPU memory an engine takes at the start, in MiB."""
    tensorrt: bool = False
    """Let TensorRT build the parts of a network that it can (GPU only; not covered by the tests either)."""
    max_batch: int = 16
    """Largest batch: 1, 2, 4, 8, 16, 32 or 64."""
    batch_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """An engine that takes longer over a batch counts as hung and is replaced."""
    start_timeout_s: Annotated[float, Field(gt=0)] = 180.0
    """An engine that takes longer to start counts as failed and is started again; one that never was ready, twice."""
    start_wait_s: Annotated[float, Field(ge=0)] = 30.0
    """Longest wait of a picture for the first ready engine of a model, before it is answered ENGINE_STARTING."""

    worker_threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Threads for decoding, preprocessing and encoding; 0: one a core. More of them delay answers on full cores."""
    max_picture_bytes: Annotated[int, Field(ge=1024)] = 32 << 20
    """Longest picture in bytes."""
    max_picture_pixels: Annotated[int, Field(ge=1)] = 64_000_000
    """Most pixels of a picture."""
    max_decoded_pixels: Annotated[int, Field(ge=1)] = 256_000_000
    """Most pixels of all pictures that are decoded at a time; 3 bytes each."""
    max_pictures_per_call: Annotated[int, Field(ge=1, le=1024)] = 32
    """Most pictures of a call."""
    max_regions_per_picture: Annotated[int, Field(ge=1, le=1024)] = 64
    """Most regions a picture."""
    max_detections: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most detections for which a caller may ask."""
    max_pending_pictures: Annotated[int, Field(ge=1)] = 256
    """Pictures under way from which on new calls are refused."""
    max_pending_crops: Annotated[int, Field(ge=1)] = 4096
    """Crops under way from which on new calls are refused."""
    default_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Deadline of calls, and of frames, that have none."""
    max_streams: Annotated[int, Field(ge=1)] = 64
    """Most streams at a time."""
    stream_in_flight: Annotated[int, Field(ge=1)] = 8
    """Frames worked on at once for a stream that does not say."""
    max_stream_in_flight: Annotated[int, Field(ge=1)] = 64
    """Most frames worked on at once for a stream."""

    @field_validator("max_batch")
    @classmethod
    def _is_bucket(cls, value: int) -> int:
        # A Literal of numbers would refuse the text of an environment variable.
        if value not in _BUCKETS:
            raise ValueError(f"it must be one of {', '.join(map(str, _BUCKETS))}")
        return value

    @field_validator("bundles", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("gpus", mode="before")
    @classmethod
    def _split_numbers(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.max_pending_pictures < self.max_pictures_per_call:
            raise ValueError("max_pending_pictures must be at least max_pictures_per_call")
        if self.max_pending_crops < self.max_pictures_per_call * (self.max_regions_per_picture + 1):
            raise ValueError("max_pending_crops must be at least max_pictures_per_call x (max_regions_per_picture + 1)")
        if self.stream_in_flight > self.max_stream_in_flight:
            raise ValueError("stream_in_flight must be at most max_stream_in_flight")
        if not self.gpus:
            raise ValueError("gpus must name at least one GPU")
        return self

    @property
    def picture_limits(self) -> PictureLimits:
        """What one picture may cost."""
        return PictureLimits(max_bytes=self.max_picture_bytes, max_pixels=self.max_picture_pixels)

    @property
    def engine_options(self) -> EngineOptions:
        """How the engines of each model run."""
        return EngineOptions(
            engines=self.engines,
            buckets=tuple(size for size in _BUCKETS if size <= self.max_batch),
            device=self.device,
            device_indices=self.gpus,
            threads=self.cpu_threads or max(1, available_cores() // self.engines),
            gpu_memory_mb=self.gpu_memory_mb,
            tensorrt=self.tensorrt,
            batch_timeout_s=self.batch_timeout_s,
            restart=RestartPolicy(start_timeout_s=self.start_timeout_s),
        )

    @property
    def workers(self) -> int:
        """Threads for decoding, preprocessing and encoding."""
        return self.worker_threads or available_cores()


def available_cores() -> int:
    """Return the cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
