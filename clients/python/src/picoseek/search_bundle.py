"""Several searches in one message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from picoseek_protos.v1 import search_pb2

MOST_SEARCHES = 16
"""Searches of one query in a message; so many the service compares one by one, as it would each alone."""
_LONGEST_US = 4000
_SMOOTHING = 0.25
_MOST_SETTINGS = 256


def settings_of(request: search_pb2.SearchRequest) -> bytes:
    """Return what searches must have in common to be one message: everything but the vectors."""
    vectors = request.vectors
    request.ClearField("vectors")
    settings = request.SerializeToString(deterministic=True)
    request.vectors = vectors
    return settings


def bundle(requests: Sequence[search_pb2.SearchRequest]) -> search_pb2.SearchRequest:
    """Return searches of one query each, whose settings are the same, as one of several queries."""
    if len(requests) == 1:
        return requests[0]
    together = search_pb2.SearchRequest()
    together.CopyFrom(requests[0])
    together.vectors = b"".join(request.vectors for request in requests)
    together.queries = len(requests)
    return together


def unbundle(together: search_pb2.SearchResponse, queries: int) -> list[search_pb2.SearchResponse]:
    """Return the answer to a bundle as the answers to its searches, in their order."""
    if queries == 1:
        return [together]
    return [
        search_pb2.SearchResponse(
            ids=together.ids[start:end],
            items=together.items[start:end],
            scores=together.scores[4 * start : 4 * end],
            offsets=[0, end - start],
            documents=together.documents[start:end],
            revision=together.revision,
            index_generation=together.index_generation,
            shards=together.shards,
            verdicts=together.verdicts[query : query + 1],
            larger_is_closer=together.larger_is_closer,
            total_us=together.total_us,
            explanations=together.explanations[query : query + 1],
            collection=together.collection,
            search_cpu_us=together.search_cpu_us // queries,
        )
        for query, (start, end) in enumerate(pairwise(together.offsets))
    ]


class BundleSizes:
    """How many searches go into a message: as many as the service makes in 4 ms on one of its threads.

    Bundles save what a message costs. Searches that take long are better shared out among the service's threads.
    """

    def __init__(self) -> None:
        self._cpu_us: dict[bytes, float] = {}

    def most(self, settings: bytes) -> int:
        """Return how many searches of some settings may go into a message; 1 before the first was answered."""
        cpu_us = self._cpu_us.get(settings)
        return 1 if cpu_us is None else max(1, min(MOST_SEARCHES, int(_LONGEST_US / max(cpu_us, 1.0))))

    def add(self, settings: bytes, cpu_us: float) -> None:
        """Note the processor time of one query of some settings."""
        before = self._cpu_us.get(settings)
        if before is None and len(self._cpu_us) >= _MOST_SETTINGS:
            self._cpu_us.clear()
        self._cpu_us[settings] = cpu_us if before is None else before + _SMOOTHING * (cpu_us - before)
