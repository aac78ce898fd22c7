"""`picoseek bench search` against the real search service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import waiting
from search_command_line import WITHIN_S, CommandLine, search_command_line

pytestmark = pytest.mark.slow

# Of fewer than 2,048 rows the service compares all, whatever the index is.
ROWS, DIMENSION = 3000, 32


@pytest.fixture(scope="module")
def picoseek(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, and a service of small indexes."""
    small = {"PICOSEEK_SEARCH_GROWING_ROWS": "256", "PICOSEEK_SEARCH_GRAPH_ROWS": "512", "PICOSEEK_SEARCH_IDLE_S": "1"}
    with search_command_line(tmp_path_factory.mktemp("search"), small) as commands:
        yield commands


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of vectors and of queries; a graph with few links misses some of them."""
    folder = tmp_path_factory.mktemp("vectors")
    draw = np.random.default_rng(1)
    for name, rows in (("base", ROWS), ("queries", 200)):
        np.save(folder / f"{name}.npy", draw.normal(size=(rows, DIMENSION)))
    return folder / "base.npy", folder / "queries.npy"


def collections(picoseek: CommandLine) -> list[str]:
    return [one["name"] for one in picoseek.json("collection", "list")["collections"]]


def test_every_setting_is_measured_with_every_number_of_callers(
    picoseek: CommandLine, vectors: tuple[Path, Path]
) -> None:
    base, queries = vectors
    measured = picoseek.json(
        *("bench", "search", base, "--queries", queries, "--metric", "l2", "--factory", "HNSW4"),
        *("--ef", "10,200", "--exact", "--callers", "1,8", "--count", 400),
    )
    runs = measured["runs"]
    assert [(run["ef"], run["exact"], run["callers"]) for run in runs] == [
        (10, False, 1),
        (10, False, 8),
        (200, False, 1),
        (200, False, 8),
        (0, True, 1),
        (0, True, 8),
    ]
    for run in runs:
        assert (run["queries"], run["short_answers"]) == (400, 0)
        assert 0 < run["p50_ms"] <= run["p95_ms"] <= run["p99_ms"]
        assert run["qps"] == pytest.approx(run["queries"] / run["seconds"])
        assert run["client_cpu_us_per_query"] > 0
    assert runs[0]["recall"] < runs[2]["recall"]
    assert [run["recall"] for run in runs[4:]] == [1.0, 1.0]
    # What was built stays: the service had said that nothing was left to build.
    assert measured["collection"]["segments"] == [f"HNSW4:{ROWS}"]
    assert measured["data"]["truth"] == "compared here"
    assert measured["memory"]["index_bytes"] > measured["memory"]["vector_bytes"] == ROWS * DIMENSION * 4
    assert measured["client"]["empty_call"]["p50_ms"] > 0
    assert collections(picoseek) == []


def test_hdf5_brings_its_queries_metric_and_true_neighbours(picoseek: CommandLine, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    draw = np.random.default_rng(2)
    train, test = (draw.random((rows, 64)) < 0.5 for rows in (600, 50))
    far = (train[None] != test[:, None]).sum(axis=2)
    with h5py.File(tmp_path / "bits.hdf5", "w") as file:
        file["train"], file["test"] = train, test
        file["neighbors"], file["distances"] = np.argsort(far, axis=1)[:, :20], np.sort(far, axis=1)[:, :20]
        file.attrs["distance"] = "hamming"
    measured = picoseek.json("bench", "search", tmp_path / "bits.hdf5", "--callers", "4", "--count", 50)
    assert measured["data"] | {"name": ""} == {
        **{"name": "", "rows": 600, "queries": 50, "dimension": 64},
        **{"type": "bits", "metric": "hamming", "truth": "file"},
    }
    assert measured["runs"][0]["recall"] == 1.0
    with h5py.File(tmp_path / "bits.hdf5", "r+") as file:
        file["neighbors"][:, 3] = file["neighbors"][:, 2]
    refused = picoseek.run("bench", "search", tmp_path / "bits.hdf5", expect=1)
    assert "its `neighbors` are not the nearest rows of `train` by hamming" in refused.stderr
    assert collections(picoseek) == []


def test_answers_under_a_filter_are_as_many_as_qualify(picoseek: CommandLine, vectors: tuple[Path, Path]) -> None:
    base, queries = vectors
    measured = picoseek.json(
        *("bench", "search", base, "--queries", queries, "--filter", "attributes.row < 7"),
        *("--batch-size", 16, "--callers", "2", "--duration", "0.5", "--write-batch", 100),
    )
    run = measured["runs"][0]
    assert (measured["live"], measured["path"], measured["data"]["truth"]) == (7, "unary", "exact search")
    assert (run["short_answers"], run["recall"]) == (0, 1.0)
    assert run["queries"] >= 16
    assert run["seconds"] >= 0.5


def test_a_collection_of_somebody_is_left_alone(picoseek: CommandLine, vectors: tuple[Path, Path]) -> None:
    base, queries = vectors
    arguments = ("bench", "search", base, "--queries", queries, "--count", 200, "--callers", "1", "--path", "unary")
    kept = picoseek.run(*arguments, "--name", "mine", "--keep")
    assert "picoseek collection delete mine" in kept.stderr
    assert "COLLECTION_EXISTS" in picoseek.run(*arguments, "--name", "mine", expect=1).stderr
    assert collections(picoseek) == ["mine"]
    picoseek.run("collection", "delete", "mine", "--yes")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_measurement_leaves_nothing_behind(
    picoseek: CommandLine, vectors: tuple[Path, Path], number: signal.Signals
) -> None:
    base, queries = vectors
    command = [sys.executable, "-m", "picoseek.cli", "bench", "search", base, "--queries", queries, "--duration", "600"]
    with subprocess.Popen(
        [*map(str, command)],
        env=os.environ | {"PICOSEEK_SEARCH_ADDRESS": picoseek.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A run of tests in the background ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            waiting.until(lambda: process.poll() is not None or bool(collections(picoseek)), WITHIN_S)
            process.send_signal(number)
            _, said = process.communicate(timeout=WITHIN_S)
        finally:
            process.kill()
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert collections(picoseek) == []


def test_what_makes_no_sense_is_refused_with_a_word(picoseek: CommandLine, vectors: tuple[Path, Path]) -> None:
    base, queries = vectors
    for arguments, status, word in (
        ((base, "--queries", queries, "--ef", "32,x"), 2, "32,64,128"),
        ((base, "--queries", queries, "--count", 1, "--duration", 1), 2, "either"),
        ((base.with_name("none.npy"), "--queries", queries), 1, "none.npy"),
        ((base, "--queries", queries, "--filter", "colour = 1"), 1, "FILTER_INVALID"),
        ((base, "--queries", queries, "--filter", "attributes.draw > 1"), 1, "no document meets"),
        ((base, "--queries", queries, "--k", 5000, "--write-batch", 1), 1, "k is 5000"),
    ):
        assert word in picoseek.run("bench", "search", *arguments, expect=status).stderr
    assert collections(picoseek) == []
