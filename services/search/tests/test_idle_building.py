"""When nothing is written, segments become one; whatever else is to be done comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from picoseek_protos.v1 import collection_pb2, document_pb2
from picoseek_search.collection import compactor, part_builder
from picoseek_search.collection.build_queue import BuildQueue
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.idle_alarm import IdleAlarm
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.segment.sealed import SealedSegment

WITHIN_S = 30.0
OPTIONS = EngineOptions(growing_rows=16, graph_rows=48, merge_factor=100, idle_s=10.0)
Make = Callable[..., document_pb2.Document]


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: float = 0.0
    due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float, action: Callable[[], None]) -> Callable[[], object]:
        entry = (self.now + seconds, action)
        self.due.append(entry)
        return lambda: self.due.remove(entry)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        ready = [entry for entry in self.due if entry[0] <= self.now]
        self.due = [entry for entry in self.due if entry[0] > self.now]
        for _, action in ready:
            action()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of all alarms of collections that are opened."""
    one = Clock()

    def compactor_of(*parts: Any) -> compactor.Compactor:
        return made(*parts, alarm=lambda quiet_s, action: IdleAlarm(quiet_s, action, one, one.after))

    made = compactor.Compactor
    monkeypatch.setattr("picoseek_search.collection.shard.Compactor", compactor_of)
    return one


@pytest.fixture
def gallery(
    open_catalog: Callable[..., Catalog], collection_of: Callable[..., collection_pb2.Collection], clock: Clock
) -> Collection:
    return open_catalog(OPTIONS).create(collection_of(index={"factory": "HNSW8"}), if_not_exists=False)[0]


def vector_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(8).astype(np.float32)


def write(gallery: Collection, document_of: Make, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 16):
        some = range(start, min(start + 16, numbers.stop))
        documents = [document_of(f"d{number}", vector_of(number)) for number in some]
        gallery.submit(gallery.prepare_upsert(documents, f"r{start}")).result(WITHIN_S)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)


def kinds(gallery: Collection) -> list[str]:
    return [f"{segment.kind}:{segment.rows}" for segment in gallery.describe().segments]


def all_are_found(gallery: Collection, numbers: range) -> bool:
    prepared = gallery.specification.metric.prepare(np.stack([vector_of(number) for number in numbers]))
    return gallery.search(Query(prepared, 1, False, 64), "", None).found.ids == [f"d{number}" for number in numbers]


def test_an_alarm_rings_once_after_each_quiet_time() -> None:
    clock, rung = Clock(), []
    alarm = IdleAlarm(10.0, lambda: rung.append(clock.now), clock, clock.after)
    clock.advance(100)
    assert rung == []
    alarm.note()
    clock.advance(9)
    alarm.note()
    clock.advance(9)
    assert rung == []
    clock.advance(1)
    clock.advance(100)
    assert rung == [119]
    alarm.note()
    alarm.close()
    clock.advance(100)
    assert rung == [119]


def test_an_alarm_of_no_time_never_rings() -> None:
    clock = Clock()
    IdleAlarm(0, lambda: pytest.fail("rung"), clock, clock.after).note()
    clock.advance(1000)


def test_parts_become_one_when_nothing_is_written(gallery: Collection, document_of: Make, clock: Clock) -> None:
    write(gallery, document_of, range(100))
    assert kinds(gallery)[-1] == "growing:4"
    assert len(kinds(gallery)) == 7
    clock.advance(9)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert len(kinds(gallery)) == 7
    assert gallery.describe().index_pending
    clock.advance(1)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:100"]
    assert not gallery.describe().index_pending
    assert all_are_found(gallery, range(100))
    # One row more is not worth copying a hundred.
    write(gallery, document_of, range(100, 101))
    clock.advance(20)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:100", "growing:1"]
    assert not gallery.describe().index_pending
    write(gallery, document_of, range(101, 108))
    clock.advance(20)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:108"]
    assert all_are_found(gallery, range(108))


IN_HASTE = replace(OPTIONS, growing_rows=64, graph_rows=100, merge_factor=4, interim_rows=48, busy_graph_rows=512)


def test_rows_of_a_graph_are_cells_until_there_is_time(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., collection_pb2.Collection],
    document_of: Make,
    clock: Clock,
) -> None:
    catalog = open_catalog(IN_HASTE)
    gallery, _ = catalog.create(collection_of(index={"factory": "HNSW8"}), if_not_exists=False)
    write(gallery, document_of, range(64))
    assert kinds(gallery) == ["IVF1,SQ8:64"]
    write(gallery, document_of, range(64, 264))
    assert kinds(gallery) == ["IVF6,SQ8:256", "growing:8"]
    assert gallery.describe().index_pending
    catalog.close()
    gallery = open_catalog(IN_HASTE).get("gallery")
    assert kinds(gallery) == ["IVF6,SQ8:256", "growing:8"]
    assert all_are_found(gallery, range(264))
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:256", "growing:8"]
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:264"]
    assert not gallery.describe().index_pending
    assert all_are_found(gallery, range(264))


def test_a_graph_grows_by_a_copy_that_leaves_dead_rows_out_of_answers(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., collection_pb2.Collection],
    document_of: Make,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog = open_catalog(OPTIONS)
    gallery, _ = catalog.create(collection_of(index={"factory": "HNSW8"}), if_not_exists=False)
    write(gallery, document_of, range(100))
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    # Two rows are written anew and two are gone, so that four of the graph are dead.
    write(gallery, document_of, range(1, 3))
    gallery.submit(gallery.prepare_delete(["d50", "d51"], "gone")).result(WITHIN_S)
    with monkeypatch.context() as context:
        context.setattr(SealedSegment, "build", lambda *_: pytest.fail("built anew"))
        clock.advance(10)
        assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert [(segment.rows, segment.live_rows) for segment in gallery.describe().segments] == [(102, 98)]
    left = [number for number in range(100) if number not in (50, 51)]
    for _ in range(2):
        query = Query(gallery.specification.metric.prepare(vector_of(0)[np.newaxis]), 200, False, 64)
        found = gallery.search(query, "", None).found.ids
        assert sorted(found) == sorted(f"d{number}" for number in left)
        catalog.close()
        catalog = open_catalog(OPTIONS)
        gallery = catalog.get("gallery")
        assert kinds(gallery) == ["HNSW8:102"]
    # An eighth of dead rows is too much to be copied.
    gallery.submit(gallery.prepare_delete([f"d{number}" for number in range(60, 75)], "more")).result(WITHIN_S)
    write(gallery, document_of, range(100, 106))
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:89"]


def test_what_was_made_one_comes_back_from_its_file(
    open_catalog: Callable[..., Catalog],
    collection_of: Callable[..., collection_pb2.Collection],
    document_of: Make,
    clock: Clock,
) -> None:
    catalog = open_catalog(OPTIONS)
    gallery, _ = catalog.create(collection_of(index={"factory": "HNSW8"}), if_not_exists=False)
    write(gallery, document_of, range(100))
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    catalog.close()
    again = open_catalog(OPTIONS).get("gallery")
    assert kinds(again) == ["HNSW8:100"]
    assert all_are_found(again, range(100))


@dataclass
class Building:
    """Index building that stands still between its checks until it is told to go on."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Iterator[Building]:
    state = Building()

    build = SealedSegment.build

    def slow(vectors: Any, kind: Any, metric: Any, check: Callable[[int], None]) -> SealedSegment:
        if len(vectors) > 50:
            state.begun.set()
            assert state.go_on.wait(WITHIN_S)
        check(0)
        return build(vectors, kind, metric, check)

    monkeypatch.setattr(SealedSegment, "build", staticmethod(slow))
    yield state
    state.go_on.set()


def test_what_is_being_built_is_pending(
    gallery: Collection, document_of: Make, clock: Clock, building: Building
) -> None:
    write(gallery, document_of, range(100))
    clock.advance(10)
    assert building.begun.wait(WITHIN_S)
    assert gallery.describe().index_pending
    building.go_on.set()
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert not gallery.describe().index_pending


def test_what_could_not_be_built_is_pending_again_when_something_is_written(
    gallery: Collection, document_of: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(gallery, document_of, range(100))
    with monkeypatch.context() as broken:
        broken.setattr(part_builder.PartBuilder, "build", lambda *_: 1 / 0)
        clock.advance(10)
        assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert len(kinds(gallery)) > 1
    assert not gallery.describe().index_pending
    write(gallery, document_of, range(100, 101))
    assert gallery.describe().index_pending
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:101"]


@pytest.mark.parametrize("rows", [1, 20])
def test_a_write_ends_what_can_wait(
    gallery: Collection, document_of: Make, clock: Clock, building: Building, rows: int
) -> None:
    write(gallery, document_of, range(100))
    clock.advance(10)
    assert building.begun.wait(WITHIN_S)
    documents = [document_of(f"d{number}", vector_of(number)) for number in range(100, 100 + rows)]
    gallery.submit(gallery.prepare_upsert(documents, "meanwhile")).result(WITHIN_S)
    assert all_are_found(gallery, range(100 + rows))
    building.go_on.set()
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert len(kinds(gallery)) > 1
    assert all_are_found(gallery, range(100 + rows))
    clock.advance(10)
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == [f"HNSW8:{100 + rows}"]
    assert all_are_found(gallery, range(100 + rows))


def test_what_is_removed_meanwhile_is_gone(
    gallery: Collection, document_of: Make, clock: Clock, building: Building
) -> None:
    write(gallery, document_of, range(100))
    clock.advance(10)
    assert building.begun.wait(WITHIN_S)
    gallery.submit(gallery.prepare_delete(["d7", "d99"], "meanwhile")).result(WITHIN_S)
    building.go_on.set()
    assert gallery.shard.compactor.wait_idle(WITHIN_S)
    assert kinds(gallery) == ["HNSW8:100"]
    query = Query(gallery.specification.metric.prepare(vector_of(7)[np.newaxis]), 200, False, 64)
    found = gallery.search(query, "", None).found.ids
    assert sorted(found) == sorted(f"d{number}" for number in range(99) if number != 7)


def test_work_that_is_due_shows_while_it_waits() -> None:
    queue = BuildQueue(ThreadPoolExecutor(1))
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(WITHIN_S)

    idle = queue.submit_idle(hold)
    assert held.wait(WITHIN_S)
    assert not queue.has_due
    due, dropped = queue.submit(lambda: None), queue.submit(lambda: None)
    assert queue.has_due
    dropped.cancel()
    go_on.set()
    idle.result(WITHIN_S)
    due.result(WITHIN_S)
    assert not queue.has_due
    queue.shutdown()
