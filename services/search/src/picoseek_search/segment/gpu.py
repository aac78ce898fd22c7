"""Copies of indexes in the memory of a GPU."""

from __future__ import annotations

import logging
import threading
from typing import Any

from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.hits import Hits
from picoseek_search.segment.index_kind import IndexKind, Structure

MOST_SELECTED = 2048
"""Rows a query that a GPU can select, and cells that it can visit, at most (Faiss' getMaxKSelection)."""

_LOG = logging.getLogger(__name__)


class GpuUnavailableError(Exception):
    """There is no such GPU, or this Faiss cannot use one; the message says what to do."""


class Gpu:
    """One GPU."""

    def __init__(self, number: int) -> None:
        """Prepare a GPU.

        Args:
            number: which one, from 0.

        Raises:
            GpuUnavailableError: it cannot be used.
        """
        if not hasattr(faiss, "StandardGpuResources"):
            raise GpuUnavailableError(
                "this Faiss was built without GPUs: install picoseek-search[gpu] in place of [cpu]"
            )
        found = int(faiss.get_num_gpus())
        if number >= found:
            raise GpuUnavailableError(
                f"there is no GPU {number}, Faiss sees {found}: look at nvidia-smi and the driver"
            )
        self._number = number
        self._resources = faiss.StandardGpuResources()
        # Faiss' resources of a GPU, and what was copied with them, are for one thread at a time.
        self._lock = threading.Lock()

    def copy(self, index: Any, kind: IndexKind) -> GpuCopy | None:
        """Copy an index.

        Returns:
            The copy; None if it has no form on a GPU or does not fit into its memory, which is said in the log.
        """
        if kind.structure is Structure.GRAPH or kind.is_binary:
            _LOG.info("an index stays on the CPU: Faiss has no form of %s on a GPU", kind.factory)
            return None
        try:
            with self._lock:
                copied = faiss.index_cpu_to_gpu(self._resources, self._number, index)
        except RuntimeError as error:  # how Faiss reports everything
            _LOG.warning("an index stays on the CPU: %s does not go to GPU %d: %s", kind.factory, self._number, error)
            return None
        return GpuCopy(copied, kind, self._lock)


class GpuCopy:
    """An index on a GPU. It knows nothing of rows that are not to be found."""

    def __init__(self, index: Any, kind: IndexKind, lock: threading.Lock) -> None:
        """Take over a copy.

        Args:
            index: the copy.
            kind: what it is a copy of.
            lock: held while the GPU searches.
        """
        self._index = index
        self._kind = kind
        self._lock = lock

    def search(self, queries: Vectors, k: int, cells: int) -> Hits | None:
        """Find the k nearest rows.

        Args:
            queries: prepared, shape (queries, dimension).
            k: rows a query.
            cells: cells to visit, if it is an IVF index.

        Returns:
            Shape (queries, k); None if that is more than a GPU does at once.
        """
        if max(k, cells) > MOST_SELECTED:
            return None
        parameters = faiss.SearchParametersIVF(nprobe=cells) if self._kind.structure is Structure.CELLS else None
        with self._lock:
            scores, offsets = self._index.search(queries, k, params=parameters)
        return Hits(scores, offsets)
