"""Batches that are made while the ones before them are learned."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Batch = TypeVar("_Batch")


def prefetched(make: Callable[[int], _Batch], first: int, end: int, ahead: int = 1) -> Iterator[_Batch]:
    """Yield `make(first)` … `make(end - 1)`, made by a thread that is up to `ahead` batches in front."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    coming: deque[Future[_Batch]] = deque()
    try:
        for step in range(first, end):
            for next_step in range(step + len(coming), min(step + ahead + 1, end)):
                coming.append(pool.submit(make, next_step))
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
