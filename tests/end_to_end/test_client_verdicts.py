"""Verdicts, explanations and what they rest on, by the Python client from the real search service."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import waiting
from picoseek import (
    AsyncClient,
    Box,
    Client,
    Collection,
    ConnectionConfig,
    Document,
    EmbeddingSpace,
    IndexConfig,
    InvalidArgumentError,
    NotFoundError,
    Provenance,
    SearchOptions,
    SearchResult,
    VerdictKind,
)

WITHIN_S = 120.0
SPACE = "sha256:" + "ab" * 32
DIMENSION = 32
ITEMS, EACH = 40, 3
ASKED = SearchOptions(k=3, false_accept_rate=0.05, explain=True)

random = np.random.default_rng(7)
items = random.standard_normal((ITEMS, DIMENSION)).astype(np.float32)


def picture(item: np.ndarray, noise: float) -> np.ndarray:
    """Return a vector near an item's."""
    return (item + noise * random.standard_normal(DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectionConfig]:
    """A service with a calibrated gallery `things`, and `few` things."""
    folder: Path = tmp_path_factory.mktemp("search")
    address = f"127.0.0.1:{waiting.free_port()}"
    command = [sys.executable, "-m", "picoseek_search", "--port", address.rpartition(":")[2]]
    quick = {"PICOSEEK_SEARCH_CALIBRATION_DELAY_S": "0.05", "PICOSEEK_SEARCH_RECALL_SHARE": "1"}
    quick |= {"PICOSEEK_SEARCH_GROWING_ROWS": "32", "PICOSEEK_SEARCH_GRAPH_ROWS": "64", "PICOSEEK_SEARCH_IDLE_S": "0.1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")], stdout=log, stderr=log, env=os.environ | quick
        )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(WITHIN_S)
        config = ConnectionConfig(search=address, timeout_s=WITHIN_S)
        documents = [
            Document(
                f"d{number}-{copy}",
                picture(item, 0.3),
                item=f"i{number}",
                provenance=Provenance(f"{number}-{copy}.jpg", Box(1.0, 2.0, 3.0, 4.0)),
            )
            for number, item in enumerate(items)
            for copy in range(EACH)
        ]
        with Client(config) as client:
            for name, some in (("things", documents), ("few", documents[: 3 * EACH])):
                index = IndexConfig("HNSW8")
                client.create_collection(Collection(name, EmbeddingSpace(SPACE, DIMENSION), index=index))
                client.upsert(name, some, space=SPACE, request_id=f"write of {name}")
            waiting.until(lambda: client.search_quality("things").calibration is not None, WITHIN_S)
            waiting.until(lambda: "3 items" in client.search_quality("few").uncalibrated_reason, WITHIN_S)
        yield config
    finally:
        process.terminate()
        assert process.wait(WITHIN_S) == 0, (folder / "log").read_text()


def test_a_calibration_says_what_verdicts_rest_on(config: ConnectionConfig) -> None:
    with Client(config) as client:
        quality = client.search_quality("things")
        assert client.search_quality("few").calibration is None
        with pytest.raises(NotFoundError):
            client.search_quality("not-there")
        revision = client.get_collection("things").revision
    calibration = quality.calibration
    assert calibration is not None and quality.uncalibrated_reason == ""
    assert (calibration.documents, calibration.references) == (ITEMS * EACH, ITEMS * EACH)
    assert (calibration.items, calibration.paired_items, calibration.copies) == (ITEMS, ITEMS, 0)
    assert calibration.revision == revision
    age = datetime.datetime.now(datetime.UTC) - calibration.made_at
    assert datetime.timedelta(0) <= age < datetime.timedelta(hours=1)
    assert 0 < calibration.independent_samples <= calibration.references
    assert [entry.false_accept_rate for entry in calibration.thresholds] == pytest.approx([0.001, 0.01, 0.05])
    strictest_first = [entry.threshold for entry in calibration.thresholds]
    assert strictest_first == sorted(strictest_first, reverse=True) and len(set(strictest_first)) == 3
    rates = [entry.true_accept_rate for entry in calibration.thresholds]
    assert None not in rates and rates == sorted(rates) and rates[-1] > 0.9
    assert calibration.ambiguous_margin > 0


def test_a_search_is_judged_and_explained(config: ConnectionConfig) -> None:
    queries = [picture(items[5], 0.1), random.standard_normal(DIMENSION).astype(np.float32), items[3] + items[8]]

    async def searched() -> list[SearchResult]:
        async with AsyncClient(config) as client:  # A single query goes over a stream, several do not.
            singly = [await client.search("things", [query], space=SPACE, options=ASKED) for query in queries]
            return [await client.search("things", queries, space=SPACE, options=ASKED), *singly]

    together, *singly = asyncio.run(searched())
    assert [verdict.kind for verdict in together.verdicts[:2]] == [VerdictKind.MATCH, VerdictKind.UNKNOWN]
    assert together.verdicts[2].kind is not VerdictKind.MATCH
    for query, alone in enumerate(singly):
        assert (alone.verdicts, alone.explanations) == (
            together.verdicts[query : query + 1],
            together.explanations[query : query + 1],
        )
    match, stranger, _ = together.verdicts
    first = together.hits[0][0]
    assert first.score >= match.threshold > together.hits[1][0].score
    assert match.probability > 0.9 > 0.5 > stranger.probability > 0

    why = together.explanations[0]
    assert (why.id, why.item, why.score) == (first.id, "i5", first.score)
    assert why.provenance.source == f"{first.id.removeprefix('d')}.jpg"
    assert why.provenance.crop_box == Box(1.0, 2.0, 3.0, 4.0)
    assert why.provenance.request_id.startswith("write of things") and why.provenance.added_at is not None
    assert why.runner_up_item not in ("", "i5") and why.runner_up_id.startswith(f"d{why.runner_up_item[1:]}-")
    assert match.margin == pytest.approx(why.score - why.runner_up_score, abs=1e-5)
    assert sum(segment.documents for segment in why.segments) == ITEMS * EACH
    assert why.segment in {segment.segment for segment in why.segments}
    assert why.exact == all(segment.exact for segment in why.segments)


def test_what_there_is_to_say_when_there_is_little(config: ConnectionConfig) -> None:
    with Client(config) as client:
        plain = client.search("things", [items[0]], space=SPACE)
        assert (plain.verdicts, plain.explanations) == ((), ())
        (verdict,) = client.search("few", [items[0]], space=SPACE, options=ASKED).verdicts
        assert verdict.kind is VerdictKind.UNCALIBRATED and math.isnan(verdict.threshold)
        alone = SearchOptions(k=1, filter="item = i0", false_accept_rate=0.05, explain=True)
        found = client.search("things", [items[0]], space=SPACE, options=alone)
        assert math.isinf(found.verdicts[0].margin) and found.explanations[0].runner_up_id == ""
        nothing = SearchOptions(k=1, filter="item = none", false_accept_rate=0.05, explain=True)
        found = client.search("things", [items[0]], space=SPACE, options=nothing)
        assert found.verdicts[0].kind is VerdictKind.UNKNOWN and found.explanations[0].id == ""
        with pytest.raises(InvalidArgumentError) as refused:
            client.search("things", [items[0]], space=SPACE, options=SearchOptions(k=1, false_accept_rate=1.0))
        assert refused.value.reason == "RATE_OUT_OF_RANGE"


def test_recall_of_live_searches_is_told(config: ConnectionConfig) -> None:
    rows = random.standard_normal((5000, 4)).astype(np.float32)
    with Client(config) as client:
        # So many that they are not all compared.
        client.create_collection(Collection("many", EmbeddingSpace(SPACE, 4), index=IndexConfig("IVF16,Flat")))
        for start in range(0, len(rows), 1000):
            some = enumerate(rows[start : start + 1000], start)
            client.upsert("many", [Document(f"d{number}", row) for number, row in some], space=SPACE)

        def is_checked() -> bool:
            client.search("many", rows[:1], space=SPACE, options=SearchOptions(k=5))
            return client.search_quality("many").recall is not None

        waiting.until(is_checked, WITHIN_S, every_s=0.5)
        recall = client.search_quality("many").recall
    assert recall is not None
    assert 0 <= recall.lower <= recall.recall <= recall.upper <= 1
    assert recall.recall > 0
    assert recall.queries >= 1
    assert 0 <= recall.window_s < 3600
