"""Random work on a collection, replayed on plain Python."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2, operation_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.segment import index_file
from picoseek_search.segment.index_kind import ExactBelow, IndexKind
from picoseek_search.storage.log import Revision

STEPS = int(os.environ.get("PICOSEEK_SOAK_STEPS", "1000"))
SEED = int(os.environ.get("PICOSEEK_SOAK_SEED", "7"))
STEPS_AN_EXAMPLE = 50
WITHIN_S = 60.0
DIMENSION = 3
EVERYTHING = document_pb2.DocumentMask(vector=True, labels=True, attributes=True, payload=True, provenance=True)

FACTORIES = ["Flat", "HNSW4", "SQ8", "HNSW4,SQ8", "IVF4,Flat"]
OPTIONS = [
    EngineOptions(growing_rows=8, graph_rows=20, merge_factor=2, idle_s=0.02),
    EngineOptions(growing_rows=40, graph_rows=50, merge_factor=2, interim_rows=40, busy_graph_rows=70, idle_s=0.02),
]
"""Without and with cells for a graph's rows while they are written."""
LEAST_RECALL = 0.9
"""Of all approximate searches of a run together."""

ids = st.integers(0, 60).map(lambda number: f"d{number:02d}")
# Small whole numbers: every score is exact, so that the model's are the same to the last bit.
vectors = st.lists(st.integers(-4, 4), min_size=DIMENSION, max_size=DIMENSION)
entries = st.dictionaries(
    ids, st.tuples(vectors, st.integers(0, 8), st.sampled_from(["red", "blue"])), min_size=1, max_size=25
)


@dataclass(frozen=True)
class Entry:
    """A document as the model knows it."""

    vector: list[int]
    item: str
    label: str
    rank: int


FILTERS: dict[str, Callable[[str, Entry], bool]] = {
    "": lambda _, entry: True,
    "labels:red": lambda _, entry: entry.label == "red",
    "NOT labels:red AND attributes.rank < 6": lambda _, entry: entry.label != "red" and entry.rank < 6,
    "attributes.rank IN (1, 2)": lambda _, entry: entry.rank in (1, 2),
    "item = i3": lambda _, entry: entry.item == "i3",
    'item = "d*" OR labels:blue': lambda _, entry: entry.item[0] == "d" or entry.label == "blue",
    "id > d30 AND attributes.rank >= 2": lambda id_, entry: id_ > "d30" and entry.rank >= 2,
}


class GalleryMachine(RuleBasedStateMachine):
    """A collection beside a dictionary."""

    workers: Workers
    is_approximate: bool
    """Indexes of this size are not searched exactly."""
    wanted = 0
    """Hits of approximate searches that are as close as those of an exact one."""
    found = 0

    @initialize(
        metric=st.sampled_from([embedding_pb2.METRIC_L2, embedding_pb2.METRIC_INNER_PRODUCT]),
        factory=st.sampled_from(FACTORIES),
        options=st.sampled_from(OPTIONS),
    )
    def make(self, metric: int, factory: str, options: EngineOptions) -> None:
        self.options = options
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.catalog = self._open()
        space = embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=DIMENSION)
        asked = collection_pb2.Collection(
            name="g",
            space=space,
            metric=metric,
            index=collection_pb2.IndexConfig(factory=factory),
            schema=[collection_pb2.AttributeField(name="rank", type=collection_pb2.ATTRIBUTE_TYPE_INT)],
        )
        self.catalog.create(asked, if_not_exists=False)
        other = collection_pb2.Collection(name="h", space=space, metric=metric)
        self.catalog.create(other, if_not_exists=False)
        self.alias = ""
        self.operation = ""
        self.larger = metric == embedding_pb2.METRIC_INNER_PRODUCT
        self.model: dict[str, Entry] = {}
        self.applied: dict[str, tuple[object, object]] = {}
        self.sequence = 0

    def _open(self) -> Catalog:
        return Catalog(self._root, self.options, self.workers)

    @property
    def _root(self) -> Path:
        return Path(self.folder.name) / str(self.lives)

    @property
    def collection(self) -> Collection:
        return self.catalog.get("g")

    @rule(entries=entries)
    def upsert(self, entries: dict[str, tuple[list[int], int, str]]) -> None:
        documents = [
            document_pb2.Document(
                id=id_,
                item=f"i{number}" if number else "",
                labels=[label],
                vector=np.array(vector, "<f4").tobytes(),
                attributes={"rank": document_pb2.AttributeValue(int_value=number)},
            )
            for id_, (vector, number, label) in entries.items()
        ]
        request_id = f"r{self.sequence}"
        result = self.collection.submit(self.collection.prepare_upsert(documents, request_id)).result(WITHIN_S)
        replaced = len(self.model.keys() & entries.keys())
        assert (result.counts.inserted, result.counts.replaced) == (len(entries) - replaced, replaced)
        self._written(result.revision)
        self.applied[request_id] = (documents, result)
        for id_, (vector, number, label) in entries.items():
            self.model[id_] = Entry(vector, f"i{number}" if number else id_, label, number)

    @rule(gone=st.lists(ids, min_size=1, max_size=25, unique=True))
    def delete(self, gone: list[str]) -> None:
        result = self.collection.submit(self.collection.prepare_delete(gone, f"r{self.sequence}")).result(WITHIN_S)
        assert result.counts.deleted == len(self.model.keys() & set(gone))
        self._written(result.revision)
        for id_ in gone:
            self.model.pop(id_, None)

    @rule(label=st.sampled_from(["red", "blue"]), before=ids)
    def delete_where(self, label: str, before: str) -> None:
        write = self.collection.prepare_delete_where(f"labels:{label} AND id < {before}", f"r{self.sequence}")
        result = self.collection.submit(write).result(WITHIN_S)
        gone = [id_ for id_, entry in self.model.items() if entry.label == label and id_ < before]
        assert result.counts.deleted == len(gone)
        self._written(result.revision)
        for id_ in gone:
            del self.model[id_]

    @precondition(lambda self: self.applied)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.applied)))
        documents, first = self.applied[request_id]
        again = self.collection.submit(self.collection.prepare_upsert(documents, request_id)).result(WITHIN_S)
        assert again.already_applied
        assert (again.revision, again.counts) == (first.revision, first.counts)
        other = self.collection.submit(self.collection.prepare_delete(["d00"], request_id))
        with pytest.raises(ServiceError, match="use a new one"):
            other.result(WITHIN_S)

    @rule()
    def restart(self) -> None:
        self.catalog.close()
        self.catalog = self._open()

    @rule()
    def crash(self) -> None:
        # A kill leaves the files as they are at some moment; the writes behind it are another life's.
        before = self.catalog
        old, self.lives = self._root, self.lives + 1
        _copy_as_a_kill_leaves_it(old, self._root)
        self.catalog = self._open()
        before.close()
        shutil.rmtree(old)

    @rule()
    def finish_building(self) -> None:
        assert self.collection.shard.compactor.wait_idle(WITHIN_S)

    @rule(factory=st.sampled_from(FACTORIES))
    def change_index(self, factory: str) -> None:
        asked = collection_pb2.Collection(name="g", index=collection_pb2.IndexConfig(factory=factory))
        running = self.collection.rebuild
        try:
            operation = self.catalog.update(asked, FieldMask(paths=["index.factory"]), etag="")[1]
        except ServiceError as error:
            if error.reason != "REBUILD_RUNNING" or running is None:
                raise
            return
        self.operation = operation or self.operation

    @precondition(lambda self: self.operation)
    @rule(cancel=st.booleans())
    def finish_update(self, cancel: bool) -> None:
        if cancel:
            self.catalog.operations.cancel(self.operation)
        self.catalog.operations.when_ended(self.operation).result(WITHIN_S)
        ended = self.catalog.operations.get(self.operation)
        fine = (operation_pb2.OPERATION_STATE_SUCCEEDED, operation_pb2.OPERATION_STATE_CANCELLED)
        assert ended.state in fine, ended

    @rule(name=st.sampled_from(["g", "h"]))
    def switch_alias(self, name: str) -> None:
        assert self.catalog.set_alias("live", name, expected=self.alias) == self.alias
        self.alias = name

    @precondition(lambda self: self.alias)
    @rule()
    def delete_alias(self) -> None:
        self.catalog.delete_alias("live")
        self.alias = ""

    @rule(
        query=vectors,
        k=st.integers(1, 70),
        filter_text=st.sampled_from(sorted(FILTERS)),
        limit=st.integers(0, 3),
        threshold=st.none() | st.integers(-20, 60),
        exact=st.booleans(),
    )
    def search(
        self, query: list[int], k: int, filter_text: str, limit: int, threshold: int | None, exact: bool
    ) -> None:
        answer = self.collection.search(
            Query(np.array([query], np.float32), k, exact, 16, threshold, limit),
            filter_text,
            EVERYTHING if k % 2 else None,
        )
        found = answer.found
        meets = FILTERS[filter_text]
        scores = {id_: self._score(query, entry.vector) for id_, entry in self.model.items() if meets(id_, entry)}
        assert len(set(found.ids)) == len(found.ids)
        assert [scores[id_] for id_ in found.ids] == found.scores.tolist()
        assert found.items == [self.model[id_].item for id_ in found.ids]
        expected = self._expected(scores, k, limit, threshold)
        if exact or not self.is_approximate:
            assert found.scores.tolist() == expected
        else:
            assert len(found.ids) <= len(expected)
            if threshold is None:
                assert len(found.ids) == len(expected)
            self._count(found.scores.tolist(), expected)
        for id_, document in zip(found.ids, answer.documents, strict=False):
            entry = self.model[id_]
            assert (document.id, document.item, list(document.labels)) == (id_, entry.item, [entry.label])
            assert np.frombuffer(document.vector, "<f4").tolist() == entry.vector

    def _score(self, query: list[int], vector: list[int]) -> float:
        if self.larger:
            return float(np.dot(query, vector))
        return float(np.square(np.subtract(query, vector)).sum())

    def _expected(self, scores: dict[str, float], k: int, limit: int, threshold: int | None) -> list[float]:
        taken: dict[str, int] = {}
        best: list[float] = []
        for score, id_ in sorted((-score if self.larger else score, id_) for id_, score in scores.items()):
            item = self.model[id_].item
            taken[item] = taken.get(item, 0) + 1
            if limit == 0 or taken[item] <= limit:
                best.append(-score if self.larger else score)
        if threshold is not None:
            best = [score for score in best if (score >= threshold if self.larger else score <= threshold)]
        return best[:k]

    def _count(self, found: list[float], expected: list[float]) -> None:
        machine = type(self)
        machine.wanted += len(expected)
        worst = expected[-1] if expected else 0.0
        machine.found += sum(score >= worst if self.larger else score <= worst for score in found)

    def _written(self, revision: Revision) -> None:
        self.sequence += 1
        assert revision == Revision(1, self.sequence)

    @invariant()
    def holds_what_was_written(self) -> None:
        if not hasattr(self, "catalog"):
            return
        snapshot = self.collection.shard.snapshot
        assert snapshot.revision == Revision(1, self.sequence)
        assert snapshot.live_rows == len(self.model)
        listed = self.collection.page("", 1000, "", EVERYTHING)
        assert [document.id for document in listed.documents] == sorted(self.model)
        if self.is_approximate:
            self.search([1, -2, 3], 10, "", 0, None, exact=False)
        assert self.catalog.aliases() == ([("live", self.alias)] if self.alias else [])
        if self.alias:
            assert self.catalog.get("live") is self.catalog.get(self.alias)
        assert self.collection.count("")[:2] == (len(self.model), len({entry.item for entry in self.model.values()}))

    def teardown(self) -> None:
        if hasattr(self, "catalog"):
            self.catalog.close()
            self.folder.cleanup()


def _copy_as_a_kill_leaves_it(old: Path, new: Path) -> None:
    new.mkdir()
    # Its row of a rebuild goes after the operation has ended, so that a copy of it must be the older one.
    first = sorted(path.name for path in old.glob("registry.sqlite3*"))
    for name in first:
        shutil.copy2(old / name, new / name)

    def passed_over(_: str, names: list[str]) -> set[str]:
        return {name for name in names if name in first or name == "lock" or name.endswith(".partial")}

    shutil.copytree(old, new, ignore=passed_over, dirs_exist_ok=True, copy_function=_copy_unless_gone)


def _copy_unless_gone(source: str, target: str) -> None:
    # An index file may be removed between listing and copying, when what was built of it has taken its place.
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        if Path(source).suffix not in index_file.SUFFIXES:
            raise


def run(workers: Workers, steps: int, *, is_approximate: bool = False) -> None:
    machine = seed(SEED)(type("Machine", (GalleryMachine,), {"workers": workers, "is_approximate": is_approximate}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // STEPS_AN_EXAMPLE),
            stateful_step_count=STEPS_AN_EXAMPLE,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    if is_approximate:
        assert machine.found >= LEAST_RECALL * machine.wanted > 0


def test_some_steps(workers: Workers) -> None:
    run(workers, steps=150)


@pytest.mark.slow
def test_many_steps(workers: Workers) -> None:
    run(workers, steps=STEPS)


@pytest.mark.slow
def test_many_steps_with_approximate_searches(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IndexKind, "exact_below", ExactBelow(0, 0.0))
    run(workers, steps=max(500, STEPS // 4), is_approximate=True)
