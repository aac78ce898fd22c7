"""Killed at any moment under load, the service has every acknowledged write, each once, and none by half."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
import waiting
from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_protos.v1 import (
    collection_pb2,
    document_pb2,
    embedding_pb2,
    operation_pb2,
    revision_pb2,
    search_pb2,
)

KILLS = int(os.environ.get("PICOSEEK_SOAK_KILLS", "6"))
SEED = int(os.environ.get("PICOSEEK_SOAK_SEED", "7"))
WITHIN_S = 60.0
SPACE = "sha256:" + "5e" * 32
DIMENSION = 8
BATCH = 20
IDS = 300
WRITERS = ("left", "mid", "right")
FACTORIES = ("HNSW8", "SQ8", "HNSW8,SQ8", "IVF4,Flat", "Flat")
EVERYTHING = document_pb2.DocumentMask(vector=True, labels=True, payload=True)
ENDED = (operation_pb2.OPERATION_STATE_SUCCEEDED, operation_pb2.OPERATION_STATE_CANCELLED)
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

_LOG = logging.getLogger(__name__)

State = dict[str, int]
"""Version of each of a writer's documents that is there."""


class StoppedError(Exception):
    """The service was killed."""


def call(method: Any, request: Any) -> Any:
    """Make a call; raises StoppedError if the service is gone, and what the service answers else."""
    try:
        return method(request, timeout=WITHIN_S)
    except grpc.RpcError as error:
        if error.code() in GONE:
            raise StoppedError from error
        raise


def make(id_: str, version: int) -> document_pb2.Document:
    return document_pb2.Document(
        id=id_,
        item=f"item of {id_}",
        labels=[str(version)],
        payload=f"{id_}/{version}".encode(),
        vector=vector_of(id_, version).tobytes(),
    )


def vector_of(id_: str, version: int) -> np.ndarray:
    # Small numbers of few digits: the squares and sums of every order are exact.
    name, _, number = id_.rpartition("-")
    vector = np.full(DIMENSION, version % 64, "<f4")
    vector[0] = int(number) + WRITERS.index(name) / 4
    return vector


@dataclass
class Sent:
    """A write and the state of its writer's documents behind it."""

    request: search_pb2.UpsertRequest | search_pb2.DeleteRequest
    after: State
    answer: Any = None
    """What was answered; None: nothing yet."""


@dataclass
class Writer:
    """One caller that writes one batch after the other to documents that are its own."""

    name: str
    random: np.random.Generator
    history: list[Sent] = field(default_factory=list)

    def states(self) -> Iterator[State]:
        yield {}
        for sent in list(self.history):
            yield sent.after

    @property
    def acknowledged(self) -> int:
        """Number of writes that were answered; only the last one of the history can have no answer."""
        return len(self.history) - bool(self.history and self.history[-1].answer is None)

    def run(self, client: Any) -> None:
        while True:
            sent = self._next()
            self.history.append(sent)
            sent.answer = send(client, sent)
            assert not sent.answer.already_applied

    def _next(self) -> Sent:
        number = len(self.history) + 1
        before = self.history[-1].after if self.history else {}
        request_id = f"{self.name}-{number}"
        kind = self.random.choice(["upsert", "delete", "filter"], p=[0.7, 0.2, 0.1])
        ids = [f"{self.name}-{one}" for one in self.random.choice(IDS, BATCH, replace=False)]
        if kind == "upsert":
            documents = [make(id_, number) for id_ in ids]
            request = search_pb2.UpsertRequest(collection="g", space=SPACE, documents=documents, request_id=request_id)
            return Sent(request, before | dict.fromkeys(ids, number))
        if kind == "delete":
            request = search_pb2.DeleteRequest(collection="g", ids=ids, request_id=request_id)
            return Sent(request, {id_: version for id_, version in before.items() if id_ not in ids})
        prefix = ids[0][:-1] if ids[0][-2] != "-" else ids[0]
        request = search_pb2.DeleteRequest(collection="g", filter=f'id = "{prefix}*"', request_id=request_id)
        return Sent(request, {id_: version for id_, version in before.items() if not id_.startswith(prefix)})


def send(client: Any, sent: Sent) -> Any:
    is_upsert = isinstance(sent.request, search_pb2.UpsertRequest)
    return call(client.search.Upsert if is_upsert else client.search.Delete, sent.request)


@dataclass
class Settings:
    """What a caller has changed of aliases and index kinds."""

    random: np.random.Generator
    alias: str = ""
    pending_alias: str = ""
    changes: int = 0
    operations: list[str] = field(default_factory=list)

    def switch_alias(self, client: Any) -> None:
        while True:
            self.pending_alias = str(self.random.choice(["g", "h"]))
            alias = collection_pb2.Alias(name="live", collection=self.pending_alias)
            request = collection_pb2.SetAliasRequest(alias=alias, expected_collection=self.alias)
            call(client.collections.SetAlias, request)
            self.alias = self.pending_alias
            self.changes += 1
            found = call(client.search.Count, search_pb2.CountRequest(collection="live"))
            assert (found.documents == 1) or self.alias == "g"

    def change_index(self, client: Any) -> None:
        while True:
            index = collection_pb2.IndexConfig(factory=str(self.random.choice(FACTORIES)))
            request = collection_pb2.UpdateCollectionRequest(
                collection=collection_pb2.Collection(name="g", index=index),
                update_mask=FieldMask(paths=["index.factory"]),
            )
            try:
                operation = call(client.collections.UpdateCollection, request).operation_id
            except grpc.RpcError as error:
                if "is being rebuilt" not in error.details():
                    raise
                continue
            if not operation:
                continue
            self.operations.append(operation)
            if self.random.random() < 0.2:
                call(client.collections.CancelOperation, operation_pb2.CancelOperationRequest(id=operation))
            call(client.collections.WaitOperation, operation_pb2.WaitOperationRequest(id=operation))

    def check(self, client: Any) -> None:
        aliases = call(client.collections.ListAliases, collection_pb2.ListAliasesRequest()).aliases
        there = {alias.name: alias.collection for alias in aliases}.get("live", "")
        assert there in (self.alias, self.pending_alias)
        self.alias = self.pending_alias = there
        # What was acknowledged is still known; if it was interrupted it goes on and ends.
        for id_ in self.operations[-3:]:
            wait = operation_pb2.WaitOperationRequest(id=id_)
            operation = call(client.collections.WaitOperation, wait).operation
            assert operation.state in ENDED, operation


@dataclass
class Reader:
    """A caller that sees every writer's documents as they were between two of its writes, and never older ones."""

    writers: list[Writer]
    random: np.random.Generator
    reads: int = 0
    revision: int = 0

    def run(self, client: Any) -> None:
        while True:
            self.read(client)

    def read(self, client: Any) -> None:
        begun = [writer.acknowledged for writer in self.writers]
        if self.random.random() < 0.3:
            answer = call(
                client.search.List, search_pb2.ListRequest(collection="g", page_size=1000, include=EVERYTHING)
            )
        else:
            # Every document is within the first thousand.
            query = self.random.integers(0, 64, DIMENSION).astype("<f4")
            request = search_pb2.SearchRequest(
                collection="g",
                space=SPACE,
                vectors=query.tobytes(),
                queries=1,
                k=1000,
                include=EVERYTHING,
                params=search_pb2.SearchParams(exact=bool(self.random.random() < 0.5)),
                min_revision=revision_pb2.Revision(epoch=1, sequence=self.revision),
            )
            answer = call(client.search.Search, request)
            assert len(answer.ids) == len(set(answer.ids))
        assert answer.revision.sequence >= self.revision, "the revision went back"
        self.revision = answer.revision.sequence
        found: dict[str, State] = {writer.name: {} for writer in self.writers}
        for document in answer.documents:
            version = int(document.labels[0])
            whole = make(document.id, version)
            assert (document.vector, document.payload, document.item) == (whole.vector, whole.payload, whole.item)
            found[document.id.rpartition("-")[0]][document.id] = version
        for writer, first in zip(self.writers, begun, strict=True):
            states = list(writer.states())[first:]
            assert found[writer.name] in states, f"{writer.name}: neither before a write nor behind it"
        self.reads += 1


def check(client: Any, writers: list[Writer], random: np.random.Generator) -> None:
    """Compare everything with the writers' own books, and send again what was not answered."""
    listed = call(client.search.List, search_pb2.ListRequest(collection="g", page_size=1000, include=EVERYTHING))
    found: dict[str, State] = {writer.name: {} for writer in writers}
    for document in listed.documents:
        found[document.id.rpartition("-")[0]][document.id] = int(document.labels[0])
    applied = 0
    for writer in writers:
        acknowledged = writer.acknowledged
        states = list(writer.states())
        there = found[writer.name]
        assert there in states[acknowledged:], f"{writer.name}: an acknowledged write is lost or one is there by half"
        applied += len(writer.history)
        if acknowledged < len(writer.history):
            last = writer.history[-1]
            last.answer = send(client, last)
            if there != states[acknowledged]:
                assert last.answer.already_applied, "a write was applied twice"
        for number in random.integers(0, len(writer.history), 3).tolist() if writer.history else []:
            old = writer.history[number]
            again = send(client, old)
            assert again.already_applied
            assert again.revision == old.answer.revision
    count = call(client.search.Count, search_pb2.CountRequest(collection="g"))
    # Each write once: no number of the log is missing and none is there for a write that came again.
    assert count.revision == revision_pb2.Revision(epoch=1, sequence=applied)
    now = {id_: version for writer in writers for id_, version in list(writer.states())[-1].items()}
    assert count.documents == len(now)
    check_searches(client, now, random)


def check_searches(client: Any, now: State, random: np.random.Generator) -> None:
    queries = random.integers(0, 64, (8, DIMENSION)).astype("<f4")
    stored = np.array([vector_of(id_, version) for id_, version in now.items()], "<f4").reshape(-1, DIMENSION)
    distances = np.square(queries[:, None] - stored[None]).sum(axis=2)
    by_id = {id_: distances[:, place] for place, id_ in enumerate(now)}
    for exact in (True, False):
        answer = client.find("g", queries, k=30, params=search_pb2.SearchParams(exact=exact))
        scores = np.frombuffer(answer.scores, "<f4")
        for number, best in enumerate(np.sort(distances, axis=1)[:, :30]):
            hits = slice(answer.offsets[number], answer.offsets[number + 1])
            assert len(set(answer.ids[hits])) == len(best) == min(30, len(now))
            assert [by_id[id_][number] for id_ in answer.ids[hits]] == scores[hits].tolist()
            if exact:
                np.testing.assert_array_equal(scores[hits], best)


def under_load(client: Any, callers: list[Callable[[Any], None]]) -> tuple[list[threading.Thread], list[BaseException]]:
    """Start callers that go on until the service is gone; what else ends one is put in a list."""
    wrong: list[BaseException] = []

    def run(caller: Callable[[Any], None]) -> None:
        try:
            caller(client)
        except StoppedError:
            return
        except BaseException as error:  # it must fail the test, not just this thread
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    return threads, wrong


@pytest.mark.slow
def test_kills_at_random_moments_under_load(search_process: Callable[..., Any], client_of: Callable[..., Any]) -> None:
    _LOG.warning("seed %d, %d kills", SEED, KILLS)
    seeds = iter(np.random.SeedSequence(SEED).spawn(16))
    random = np.random.default_rng(next(seeds))
    writers = [Writer(name, np.random.default_rng(next(seeds))) for name in WRITERS]
    settings = Settings(np.random.default_rng(next(seeds)))
    readers = [Reader(writers, np.random.default_rng(next(seeds))) for _ in range(2)]
    callers = [*(one.run for one in [*writers, *readers]), settings.switch_alias, settings.change_index]
    sizes = {
        "PICOSEEK_SEARCH_GROWING_ROWS": "64",
        "PICOSEEK_SEARCH_GRAPH_ROWS": "200",
        "PICOSEEK_SEARCH_IDLE_S": "0.1",
        "PICOSEEK_SEARCH_CALIBRATION_DELAY_S": "0.1",
    }
    process = search_process(environment=sizes)
    for kill in range(KILLS):
        with process.channel() as channel:
            client = client_of(channel)
            if kill == 0:
                for name, factory in (("g", "HNSW8"), ("h", "Flat")):
                    index = collection_pb2.IndexConfig(factory=factory)
                    client.create(name=name, dimension=DIMENSION, metric=embedding_pb2.METRIC_L2, index=index)
                client.upsert("h", [make("left-1", 1)])
            check(client, writers, random)
            settings.check(client)
            goal = sum(len(writer.history) for writer in writers) + int(random.integers(2, 80))
            threads, wrong = under_load(client, callers)
            waiting.until(
                lambda goal=goal, wrong=wrong: bool(wrong) or sum(len(one.history) for one in writers) >= goal,
                WITHIN_S,
                0.001,
            )
            process.kill()
            for thread in threads:
                thread.join(WITHIN_S)
            if wrong:
                raise AssertionError(f"kill {kill}, seed {SEED}") from wrong[0]
        if random.random() < 0.2:
            # In the middle of its recovery, too.
            process.spawn()
            time.sleep(float(random.uniform(0, 2)))
            process.kill()
        process.start()
        _LOG.info("kill %d of %d", kill + 1, KILLS)
    with process.channel() as channel:
        check(client_of(channel), writers, random)
        settings.check(client_of(channel))
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
    assert all(reader.reads for reader in readers)
    assert settings.changes
    _LOG.warning(
        "%d writes, %d reads, %d alias switches, %d rebuilds",
        sum(len(writer.history) for writer in writers),
        sum(reader.reads for reader in readers),
        settings.changes,
        len(settings.operations),
    )


def test_a_write_whose_answer_was_lost_can_be_sent_again(
    search_process: Callable[..., Any], client_of: Callable[..., Any]
) -> None:
    process = search_process()
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g", dimension=DIMENSION)
        first = client.upsert("g", [make("left-1", 1)], "w1")
        process.kill()
    process.start()
    with process.channel() as channel:
        again = client_of(channel).upsert("g", [make("left-1", 1)], "w1")
    assert again.already_applied
    assert again.revision == first.revision
