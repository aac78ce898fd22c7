"""The threads in which work is done, so that the event loop only waits."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from picoseek_search.collection.activity import Activity
from picoseek_search.collection.build_queue import BuildQueue
from picoseek_search.segment.faiss_binding import faiss

_BUILD_NICENESS = 5
_WATCH_NICENESS = 10
_STORE_THREADS = 4


@dataclass(frozen=True)
class Workers:
    """Threads of a node. Searches, reads, writes and building do not wait for each other's threads."""

    search: ThreadPoolExecutor
    """Searches vectors."""
    search_threads: int
    """How many threads that are."""
    read: ThreadPoolExecutor
    """Reads documents."""
    write: ThreadPoolExecutor
    """Writes; each collection uses one of these threads at a time."""
    build: BuildQueue
    """Builds one index after the other."""
    store: ThreadPoolExecutor
    """Answers calls that wait for the store of snapshots."""
    watch: ThreadPoolExecutor
    """Measures collections, one at a time, behind everything else."""
    activity: Activity = field(default_factory=Activity)
    """Searches under way."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when building shall end early."""

    @classmethod
    def start(cls, *, search_threads: int, read_threads: int, write_threads: int, build_threads: int) -> Workers:
        """Start threads.

        Args:
            search_threads: searches at a time; each uses one core.
            read_threads: reads at a time.
            write_threads: collections that are written to at a time.
            build_threads: cores for the index that is being built.
        """
        return cls(
            ThreadPoolExecutor(search_threads, "search", _use_cores, (1,)),
            search_threads,
            ThreadPoolExecutor(read_threads, "read"),
            ThreadPoolExecutor(write_threads, "write"),
            BuildQueue(ThreadPoolExecutor(1, "build", _build_in_background, (build_threads,))),
            ThreadPoolExecutor(_STORE_THREADS, "store"),
            ThreadPoolExecutor(1, "watch", _watch_in_background),
        )

    def stop(self) -> None:
        """End all threads; work under way is finished, an index that is being built is given up."""
        self.stopping.set()
        self.build.shutdown()
        for pool in (self.search, self.read, self.write, self.store, self.watch):
            pool.shutdown()


def _use_cores(count: int) -> None:
    # OpenMP keeps this number for each thread that calls it.
    faiss.omp_set_num_threads(count)


def _build_in_background(count: int) -> None:
    _use_cores(count)
    _be_nice(_BUILD_NICENESS)


def _watch_in_background() -> None:
    _use_cores(1)
    _be_nice(_WATCH_NICENESS)


def _be_nice(niceness: int) -> None:
    # On Linux this is of the thread, not of the process; threads that it starts inherit it.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
