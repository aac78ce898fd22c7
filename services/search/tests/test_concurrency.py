"""One thread writes, four search: every answer is the right one for the revision that it names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.segment.index_kind import ExactBelow, IndexKind

WITHIN_S = 60.0
GENERATIONS = 3
DOCUMENTS = 400
DIMENSION = 4
K = 20


@dataclass(frozen=True)
class State:
    """What there is at one revision."""

    present: np.ndarray
    """Whether each document is there."""
    vectors: np.ndarray
    """Its vector, whole numbers."""


def write_for(gallery: Collection, states: dict[int, State], end: float) -> None:
    """Add, replace and remove until the time is over and indexes were built; note what there is after each write."""
    random = np.random.default_rng(1)
    state = states[0]
    for sequence in range(1, 10**6):
        now = time.monotonic()
        if now > end and (gallery.shard.snapshot.generation > GENERATIONS or now > end + WITHIN_S):
            return
        numbers = random.choice(DOCUMENTS, random.integers(1, 40), replace=False)
        present, vectors = state.present.copy(), state.vectors.copy()
        if random.random() < 0.25:
            present[numbers] = False
            write = gallery.prepare_delete([f"d{number}" for number in numbers], f"r{sequence}")
        else:
            present[numbers] = True
            vectors[numbers] = random.integers(-9, 10, (len(numbers), DIMENSION))
            documents = [document_pb2.Document(id=f"d{number}", vector=vectors[number].tobytes()) for number in numbers]
            write = gallery.prepare_upsert(documents, f"r{sequence}")
        # Before the write, so that a search that is quicker than this thread finds its state.
        state = states[sequence] = State(present, vectors)
        gallery.submit(write).result(WITHIN_S)


def search_until(
    gallery: Collection, states: dict[int, State], stop: threading.Event, *, exact: bool, include: bool, seed: int
) -> int:
    """Search and check until told to stop; returns how many answers were right."""
    random = np.random.default_rng(seed)
    right = 0
    newest = 0
    mask = document_pb2.DocumentMask(vector=True) if include else None
    while not stop.is_set():
        query = random.integers(-9, 10, (1, DIMENSION)).astype(np.float32)
        answer = gallery.search(Query(query, K, exact, 16), "", mask)
        sequence = answer.snapshot.revision.sequence
        assert sequence >= newest, "the order of writes ran backwards"
        newest = sequence
        state = states[sequence]
        scores = np.square(state.vectors - query).sum(axis=1)
        found = [int(id_[1:]) for id_ in answer.found.ids]
        assert len(found) == len(set(found)) == min(K, state.present.sum()), f"revision {sequence}"
        assert state.present[found].all()
        assert scores[found].tolist() == answer.found.scores.tolist()
        if exact:
            assert answer.found.scores.tolist() == np.sort(scores[state.present])[:K].tolist()
        for number, document in zip(found, answer.documents, strict=False):
            assert document.vector == state.vectors[number].tobytes()
        right += 1
    return right


def run(gallery: Collection, seconds: float) -> tuple[int, int]:
    states = {0: State(np.zeros(DOCUMENTS, np.bool_), np.zeros((DOCUMENTS, DIMENSION), np.float32))}
    stop = threading.Event()
    outcomes: list[int | BaseException] = []

    def searcher(number: int) -> None:
        try:
            outcomes.append(
                search_until(gallery, states, stop, exact=number % 2 == 0, include=number == 3, seed=number)
            )
        except BaseException as error:
            outcomes.append(error)
            stop.set()

    threads = [threading.Thread(target=searcher, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        write_for(gallery, states, time.monotonic() + seconds)
    finally:
        stop.set()
        for thread in threads:
            thread.join(WITHIN_S)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return len(states) - 1, sum(outcome for outcome in outcomes if isinstance(outcome, int))


@pytest.mark.parametrize(
    ("factory", "seconds"),
    [("HNSW8", 3), ("IVF,SQ8", 3), ("IVF,Flat", 3), pytest.param("HNSW8", 10, marks=pytest.mark.slow)],
)
def test_every_answer_is_right_while_documents_come_and_go(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., collection_pb2.Collection],
    monkeypatch: pytest.MonkeyPatch,
    factory: str,
    seconds: int,
) -> None:
    # Indexes are used, however small.
    monkeypatch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))
    catalog = open_catalog(EngineOptions(growing_rows=64, graph_rows=100, merge_factor=2))
    asked = collection_of(
        dimension=DIMENSION, metric=embedding_pb2.METRIC_L2, index=collection_pb2.IndexConfig(factory=factory)
    )
    gallery = catalog.create(asked, if_not_exists=False)[0]
    writes, searches = run(gallery, seconds)
    assert gallery.shard.snapshot.generation > GENERATIONS, "nothing was sealed or merged meanwhile"
    assert writes > 10
    assert searches > 40
