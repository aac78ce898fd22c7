"""Settings of the search service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from picoseek_chassis.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

DEFAULT_PORT = 7072
"""Port that the service listens on if none is given."""


class SearchSettings(ServiceSettings):
    """Settings of the search service; environment variables begin with PICOSEEK_SEARCH_."""

    model_config = SettingsConfigDict(env_prefix="PICOSEEK_SEARCH_")

    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    """Port to listen on; 0: any free one, written to the log."""
    data_dir: Path = Path("picoseek-data")
    """Directory of the collections; made if it is not there. One process at a time uses it."""
    snapshots: str = ""
    """Where snapshots are: a folder, or a bucket and a prefix in it such as s3://bucket/prefix (or gs://, az://), whose
    credentials and endpoint come from the environment as its own tools read them, see docs/backup.md. Services may
    share it. Empty: `snapshots` in `data_dir`, which is no help when that disk is lost."""

    search_threads: Annotated[int, Field(ge=1, le=256)] = len(os.sched_getaffinity(0))
    """Searches that run at a time, each on one core."""
    read_threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Calls of Get, List and Count that run at a time."""
    write_threads: Annotated[int, Field(ge=1, le=64)] = 4
    """Collections that are written to at a time."""
    build_threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Cores for building an index in the background."""

    index_device: Annotated[str, Field(pattern=r"^(cpu|gpu(:[0-9]{1,2})?)$")] = "cpu"
    """Where indexes are searched: "cpu", "gpu" (the first) or "gpu:<number>". Flat and IVF indexes are copied to the
    GPU once they are built; graphs, and searches that select few rows, stay on the CPU. Where the GPU cannot be used
    the log says why, and everything stays on the CPU. Needs the extra `gpu`, which has faiss-gpu."""

    max_waiting_queries: Annotated[int, Field(ge=1)] = 4096
    """Queries that may be searched or wait for it; more are refused with OVERLOADED."""
    max_waiting_reads: Annotated[int, Field(ge=1)] = 256
    """Calls of Get, List and Count that may run or wait."""
    max_waiting_write_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    """Bytes of writes that may be applied or wait for it."""

    max_queries: Annotated[int, Field(ge=1)] = 1024
    """Queries in one search."""
    max_k: Annotated[int, Field(ge=1)] = 1000
    """Hits a query."""
    max_hits: Annotated[int, Field(ge=1)] = 100_000
    """Queries times k in one search."""
    max_stream_searches: Annotated[int, Field(ge=1)] = 256
    """Searches under way of one stream; no more are read before some are answered."""
    max_documents: Annotated[int, Field(ge=1)] = 1000
    """Documents in one Upsert; ids in one Delete or Get."""
    max_revision_wait_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    """Longest wait for the revision that a call demands, in seconds."""

    growing_rows: Annotated[int, Field(ge=16, le=65536)] = 4096
    """See EngineOptions.growing_rows."""
    graph_rows: Annotated[int, Field(ge=1)] = 8192
    """See EngineOptions.graph_rows."""
    idle_s: Annotated[float, Field(ge=0, le=86400)] = 5.0
    """See EngineOptions.idle_s."""
    operation_threads: Annotated[int, Field(ge=1, le=64)] = 4
    """See EngineOptions.operation_threads."""
    keep_operations: Annotated[int, Field(ge=1)] = 1000
    """See EngineOptions.keep_operations."""
    max_operation_wait_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """Longest time that WaitOperation holds a call, in seconds."""
    keep_requests: Annotated[int, Field(ge=1)] = 100_000
    """Newest writes of a collection whose request ids are remembered."""
    keep_log_records: Annotated[int, Field(ge=1)] = 64
    """Newest log records of a collection that are kept."""

    calibration_delay_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    """See EngineOptions.calibration_delay_s."""
    recall_share: Annotated[float, Field(ge=0, le=1)] = 0.005
    """See RecallOptions.share."""
    recall_most_a_second: Annotated[float, Field(gt=0, le=1000)] = 2.0
    """See RecallOptions.most_a_second."""
