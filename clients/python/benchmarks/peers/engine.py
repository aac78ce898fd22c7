"""What every engine that is compared must do. Runs in the environment of PicoSeek and in that of the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Metric(Enum):
    """How vectors are compared."""

    L2 = "l2"
    """Euclidean distance."""
    INNER_PRODUCT = "inner_product"
    """Inner product, of unit vectors."""


class Place(Enum):
    """Where an engine searches."""

    SERVER = "server"
    """In a process of its own on the servers' core; callers have the other core."""
    EMBEDDED = "embedded"
    """In the callers' own process, which is on the servers' core."""


@dataclass(frozen=True)
class Setting:
    """What an engine is to hold, and how. Engines with a graph make the same graph."""

    folder: Path
    """For its files."""
    metric: Metric
    """How vectors are compared."""
    dimension: int
    """Components of a vector."""
    core: int
    """Core for the engine."""
    links: int = 32
    """HNSW: links of a node, twice as many in the lowest layer (M)."""
    ef_construction: int = 128
    """HNSW: candidates while building."""
    k: int = 10
    """Hits a query."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a number of searches gave."""

    rows: list[list[int]]
    """For each search the rows of its hits, nearest first."""
    took_s: list[float]
    """Seconds that each took, in the order in which they ended."""
    seconds: float
    """From the first question to the last answer."""


class Engine(Protocol):
    """An engine with one collection."""

    place: Place
    """Where it searches."""
    callers: str
    """What 16 callers are, in words."""

    def __init__(self, setting: Setting) -> None: ...

    def start(self) -> None:
        """Start it on the files that it has."""
        ...

    def load(self, vectors: NDArray[np.float32]) -> None:
        """Make the collection, write vectors of shape (rows, dimension), and wait until the index is complete."""
        ...

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """Search for one query after the other, some callers at once.

        Args:
            queries: vectors.
            ef: candidates that a search keeps.
            callers: how many search at once.
        """
        ...

    def version(self) -> str:
        """Return what it is, with versions."""
        ...

    def processes(self) -> list[int]:
        """Return the ids of the processes that search."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


def in_threads(
    searches: Sequence[Callable[[NDArray[np.float32]], list[int]]], queries: Sequence[NDArray[np.float32]]
) -> Answers:
    """Make searches in as many threads as there are callables, each of which finds the rows of a query's hits."""
    rows: list[list[int]] = [[]] * len(queries)
    took: list[float] = []
    numbers = iter(range(len(queries)))

    def call(search: Callable[[NDArray[np.float32]], list[int]]) -> None:
        for number in numbers:
            begun = time.perf_counter()
            rows[number] = search(queries[number])
            took.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=call, args=(search,)) for search in searches]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _complete(Answers(rows, took, time.perf_counter() - begun))


async def in_tasks(
    search: Callable[[NDArray[np.float32]], Awaitable[list[int]]], queries: Sequence[NDArray[np.float32]], callers: int
) -> Answers:
    """Make searches in so many tasks of this event loop; `search` finds the rows of a query's hits."""
    rows: list[list[int]] = [[]] * len(queries)
    took: list[float] = []

    async def call(numbers: Iterator[int]) -> None:
        for number in numbers:
            begun = time.perf_counter()
            rows[number] = await search(queries[number])
            took.append(time.perf_counter() - begun)

    numbers = iter(range(len(queries)))
    begun = time.perf_counter()
    await asyncio.gather(*(call(numbers) for _ in range(callers)))
    return _complete(Answers(rows, took, time.perf_counter() - begun))


def _complete(answers: Answers) -> Answers:
    if len(answers.took_s) != len(answers.rows):
        raise RuntimeError(f"{len(answers.rows) - len(answers.took_s)} of {len(answers.rows)} searches failed")
    return answers
