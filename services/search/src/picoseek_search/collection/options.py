"""What the engine may use."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek_search.segment.gpu import Gpu


@dataclass(frozen=True)
class RecallOptions:
    """How many live queries are searched again exactly."""

    share: float = 0.005
    """Of all queries; 0: none."""
    most_a_second: float = 2.0
    """Of one collection, however many queries there are."""


@dataclass(frozen=True)
class EngineOptions:
    """Sizes and limits of collections and their indexes."""

    growing_rows: int = 4096
    """Rows of a growing chunk. All of them are compared in every search; 4,096 x 512 cost about one graph search."""
    graph_rows: int = 8192
    """Indexes of fewer rows are built Flat: comparing all of them costs about one graph search and misses nothing."""
    interim_rows: int = 2048
    """While rows are written, at least so many that will be a graph are put into cells, which are built faster."""
    busy_graph_rows: int = 32768
    """Of so many rows the graph is built even while rows are written."""
    merge_factor: int = 4
    """Neighbouring segments of about one size merged at once; a row is built anew log(rows) to this base times."""
    max_segment_rows: int = 1_000_000
    """Segments of more rows are not merged any further."""
    min_live_share: float = 0.5
    """Segments with fewer live rows are rebuilt without the others."""
    idle_s: float = 5.0
    """Seconds without a write after which a shard's indexes are made one; 0: never."""
    consolidation_share: float = 1 / 16
    """When idle, an index is built anew only together with at least so many rows, as a share of its own."""
    extension_share: float = 1 / 64
    """The same for a graph that is copied and gets the other rows added: its file is written anew."""
    max_group_bytes: int = 32 << 20
    """Waiting writes that are put into one transaction, in bytes."""
    keep_requests: int = 100_000
    """Newest writes of a shard whose request ids are remembered."""
    keep_log_records: int = 64
    """Newest log records of a shard that are kept."""
    operation_threads: int = 4
    """Operations that run at a time."""
    max_waiting_operations: int = 64
    """Operations that run or wait for their turn."""
    keep_operations: int = 1000
    """Newest ended operations that are remembered."""
    calibration_delay_s: float = 1.0
    """Seconds from a change of a collection to its calibration, so that one takes in many changes."""
    recall: RecallOptions = RecallOptions()
    """How live searches are watched."""
    gpu: Gpu | None = None
    """Where indexes are copied to, if that is possible; None: they are searched on the CPU."""
