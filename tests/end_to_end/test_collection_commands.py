"""`picoseek collection` and `picoseek operation` as a user meets them, against the real search service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import waiting
from picoseek import Client, ConnectionConfig, Document
from search_command_line import WITHIN_S, CommandLine, search_command_line

pytestmark = pytest.mark.slow

SPACE = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def picoseek(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, and a service of small indexes."""
    small = {"PICOSEEK_SEARCH_GROWING_ROWS": "64", "PICOSEEK_SEARCH_GRAPH_ROWS": "128", "PICOSEEK_SEARCH_IDLE_S": "0.1"}
    with search_command_line(tmp_path_factory.mktemp("search"), small) as commands:
        yield commands


def fill(picoseek: CommandLine, name: str, count: int) -> None:
    draw = np.random.default_rng(1)
    with Client(ConnectionConfig(search=picoseek.address, timeout_s=WITHIN_S)) as client:
        client.upsert(
            name,
            [Document(f"d{number}", draw.normal(size=8).astype(np.float32)) for number in range(count)],
            space=SPACE,
        )


def test_a_collection_is_made_changed_and_removed(picoseek: CommandLine) -> None:
    made = picoseek.json(
        *("collection", "create", "things", "--space", SPACE, "--dimension", 8, "--factory", "HNSW8"),
        *("--attribute", "colour:string", "--attribute", "size:int", "--description", "for tests"),
    )
    assert (made["index"]["factory"], made["documents"], made["space"]["dimension"]) == ("HNSW8", 0, 8)
    assert [(field["name"], field["type"]) for field in made["schema"]] == [("colour", "string"), ("size", "int")]
    fill(picoseek, "things", 600)
    waiting.until(lambda: picoseek.json("collection", "show", "things")["index_generation"] > 0, WITHIN_S)
    changed = picoseek.json("collection", "update", "things", "--ef", 99, "--description", "changed")
    assert (changed["index"]["ef"], changed["description"], changed["operation"]) == (99, "changed", "")
    assert changed["etag"] != made["etag"]
    stale = picoseek.run("collection", "update", "things", "--description", "late", "--etag", made["etag"], expect=1)
    assert "ETAG_MISMATCH" in stale.stderr

    rebuilt = picoseek.json("collection", "update", "things", "--factory", "IVF4,Flat")
    assert (rebuilt["index"]["factory"], rebuilt["index"]["ef"], rebuilt["documents"]) == ("IVF4,Flat", 99, 600)
    operation = picoseek.json("operation", "show", rebuilt["operation"])
    assert (operation["state"], operation["kind"], operation["collection"]) == ("succeeded", "rebuild", "things")
    assert picoseek.json("operation", "list", "--collection", "things")["operations"] == [operation]
    assert picoseek.json("operation", "wait", rebuilt["operation"]) == operation
    assert picoseek.json("operation", "cancel", rebuilt["operation"]) == operation
    assert rebuilt["operation"] in picoseek.run("operation", "list").stdout
    waits = picoseek.run("collection", "update", "things", "--factory", "HNSW8", "--no-wait")
    assert "picoseek operation wait" in waits.stderr

    assert "things" in picoseek.run("collection", "list").stdout
    assert "nobody can be asked" in picoseek.run("collection", "delete", "things", expect=2).stderr
    assert picoseek.json("collection", "delete", "things", "--yes") == {"collection": "things", "deleted": 600}
    assert "COLLECTION_NOT_FOUND" in picoseek.run("collection", "show", "things", expect=1).stderr


def test_an_alias_is_set_moved_and_removed(picoseek: CommandLine) -> None:
    for name in ("blue", "green"):
        picoseek.run("collection", "create", name, "--space", SPACE, "--dimension", 8)
    first = picoseek.json("collection", "alias", "set", "now", "blue")
    assert first == {"alias": "now", "collection": "blue", "previous_collection": ""}
    assert (
        "ALIAS_MISMATCH"
        in picoseek.run("collection", "alias", "set", "now", "green", "--expected", "green", expect=1).stderr
    )
    assert "was blue" in picoseek.run("collection", "alias", "set", "now", "green", "--expected", "blue").stdout
    assert picoseek.json("collection", "alias", "list") == {"aliases": [{"alias": "now", "collection": "green"}]}
    assert picoseek.json("collection", "show", "now")["name"] == "green"
    assert "COLLECTION_HAS_ALIASES" in picoseek.run("collection", "delete", "green", "--yes", expect=1).stderr
    picoseek.run("collection", "alias", "delete", "now")
    assert picoseek.json("collection", "alias", "list") == {"aliases": []}


def test_what_makes_no_sense_is_refused_with_a_word(picoseek: CommandLine) -> None:
    for arguments, word in (
        (("collection", "update", "things"), "say what to change"),
        (("collection", "create", "x", "--space", SPACE), "--dimension"),
        (("collection", "create", "x", "--attribute", "colour"), "NAME:TYPE"),
        (("collection", "create", "x", "--attribute", "colour:red"), "types"),
    ):
        assert word in picoseek.run(*arguments, expect=2).stderr
    assert "OPERATION_NOT_FOUND" in picoseek.run("operation", "wait", "none", expect=1).stderr


def test_a_damaged_collection_is_shown_as_such(tmp_path: Path) -> None:
    with search_command_line(tmp_path, {}) as picoseek:
        for name in ("broken", "sound"):
            picoseek.json("collection", "create", name, "--space", SPACE, "--dimension", 8)
            fill(picoseek, name, 10)
    oldest = min((tmp_path / "data" / "collections").iterdir(), key=lambda path: path.stat().st_ctime_ns)
    (oldest / "documents.sqlite3").write_bytes(b"\0" * 5000)
    with search_command_line(tmp_path, {}) as picoseek:
        listed = picoseek.json("collection", "list")["collections"]
        broken, sound = sorted(listed, key=lambda one: not one["problem"])
        assert "is damaged" in broken["problem"] and broken["space"]["dimension"] == 8
        assert (sound["problem"], sound["documents"]) == ("", 10)
        for command in ("collection", "gallery"):
            shown = picoseek.run(command, "list")
            row = next(line for line in shown.stdout.splitlines() if line.split()[:1] == [broken["name"]])
            assert row.split()[1:3] == ["?", "?"]
            assert f"{broken['name']} cannot be used" in shown.stderr
        assert "it was damaged" in picoseek.run("collection", "delete", broken["name"], "--yes").stdout
        assert [one["name"] for one in picoseek.json("collection", "list")["collections"]] == [sound["name"]]
