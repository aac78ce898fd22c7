"""`picoseek snapshot`, `picoseek collection export` and `import` as a user meets them, with the real service."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from picoseek import (
    AttributeField,
    AttributeType,
    Box,
    Client,
    Collection,
    ConnectionConfig,
    Document,
    DocumentMask,
    EmbeddingSpace,
    Metric,
    Provenance,
    Revision,
    SearchOptions,
    VectorType,
)
from search_command_line import WITHIN_S, CommandLine, search_command_line

pytestmark = pytest.mark.slow

SPACE = "sha256:" + "ab" * 32
DIMENSION = 16
EVERYTHING = DocumentMask(vector=True, labels=True, attributes=True, payload=True, provenance=True)
SCHEMA = tuple(AttributeField(kind.value, kind) for kind in AttributeType)


@pytest.fixture(scope="module")
def picoseek(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with search_command_line(tmp_path_factory.mktemp("search")) as commands:
        yield commands


@pytest.fixture
def client(picoseek: CommandLine) -> Iterator[Client]:
    with Client(ConnectionConfig(search=picoseek.address, timeout_s=WITHIN_S)) as one:
        yield one


def fill(client: Client, name: str, vector_type: VectorType = VectorType.FLOAT32, count: int = 1200) -> list[Document]:
    is_binary = vector_type is VectorType.BITS
    space = EmbeddingSpace(SPACE, DIMENSION, vector_type)
    metric = Metric.HAMMING if is_binary else Metric.L2
    client.create_collection(Collection(name, space, metric, schema=SCHEMA))
    random = np.random.default_rng(2)
    documents = [
        Document(
            f"dö {number:05d}",
            random.integers(0, 256, DIMENSION // 8, np.uint8)
            if is_binary
            else random.standard_normal(DIMENSION).astype(np.float32),
            item=f"item {number % 7}",
            labels=("a, b", 'c"d', "ü")[: number % 4],
            attributes={
                "string": "x",
                "int": number - (1 << 60),
                "double": number / 7,
                "bool": number % 2 == 0,
                "timestamp": datetime.datetime(2026, 1, 2, 3, 4, 5, number, tzinfo=datetime.UTC),
                "string_list": ("p", "q"),
            }
            if number % 3
            else {},
            payload=bytes([number % 256]) * (number % 5),
            provenance=Provenance(f"p/{number}.jpg", Box(1.0, 2.0, 3.5, 4.0)) if number % 2 else None,
        )
        for number in range(count)
    ]
    for start in range(0, count, 1000):
        client.upsert(name, documents[start : start + 1000], space=SPACE)
    return documents


def parts(document: Document, *, all_: bool = True) -> tuple[object, ...]:
    found = (document.id, document.vector.tobytes(), document.item, document.labels)
    if not all_:
        return found
    provenance = document.provenance
    where = (provenance.source, provenance.crop_box) if provenance else ("", None)
    return (*found, dict(document.attributes), document.payload, where)


def contents(client: Client, name: str) -> list[Document]:
    return list(client.list_documents(name, include=EVERYTHING))


def test_snapshots(picoseek: CommandLine, client: Client) -> None:
    fill(client, "kept", count=100)
    before = [parts(one) for one in contents(client, "kept")]
    made = picoseek.json("snapshot", "create", "kept", "--name", "one")
    assert (made["state"], made["result"]) == ("succeeded", "one")
    client.delete("kept", ids=["dö 00001"])
    [shown] = picoseek.json("snapshot", "list", "kept")["snapshots"]
    assert (shown["name"], shown["documents"]) == ("one", 100)
    assert picoseek.json("snapshot", "show", "kept", "one") == shown
    lines = picoseek.run("snapshot", "show", "kept", "one").stdout.splitlines()
    revision = shown["revision"]
    assert ["revision", f"{revision['epoch']}.{revision['sequence']}"] in [line.split() for line in lines]
    assert "one" in picoseek.run("snapshot", "list").stdout
    assert "intact" in picoseek.run("snapshot", "verify", "kept", "one").stdout
    picoseek.run("snapshot", "restore", "kept", "one", "--as", "beside")
    assert [parts(one) for one in contents(client, "beside")] == before
    assert "COLLECTION_EXISTS" in picoseek.run("snapshot", "restore", "kept", "one", expect=1).stderr
    picoseek.run("snapshot", "restore", "kept", "one", "--overwrite")
    assert [parts(one) for one in contents(client, "kept")] == before
    assert client.get_collection("kept").restored_at == (Revision(**shown["revision"]),)
    assert "--yes" in picoseek.run("snapshot", "delete", "kept", "one", expect=2).stderr
    picoseek.run("snapshot", "delete", "kept", "one", "--yes")
    assert "SNAPSHOT_NOT_FOUND" in picoseek.run("snapshot", "show", "kept", "one", expect=1).stderr


@pytest.mark.parametrize("vector_type", list(VectorType))
def test_vectors_come_back_as_they_were_sent(vector_type: VectorType, client: Client) -> None:
    name = f"sent-{vector_type.value}"
    sent = fill(client, name, vector_type, count=3)[1].vector
    vectors_too = DocumentMask(vector=True)
    (got,) = client.get(name, ["dö 00001"], include=vectors_too).documents
    listed = list(client.list_documents(name, include=vectors_too))[1]
    found = client.search(name, [sent], space=SPACE, options=SearchOptions(k=1, include=vectors_too)).hits[0][0]
    for document in (got, listed, found.document):
        assert document.vector.dtype == sent.dtype
        np.testing.assert_array_equal(document.vector, sent)


@pytest.mark.parametrize("vector_type", list(VectorType))
@pytest.mark.parametrize("name", ["file.parquet", "folder"])
def test_what_is_exported_can_be_imported(
    name: str, vector_type: VectorType, picoseek: CommandLine, client: Client, tmp_path: Path
) -> None:
    source, target = (f"{which}-{name}-{vector_type.value}" for which in ("from", "to"))
    documents = fill(client, source, vector_type)
    path = tmp_path / name
    assert picoseek.json("collection", "export", source, path)["documents"] == len(documents)
    assert "there already" in picoseek.run("collection", "export", source, path, expect=1).stderr
    fill(client, target, vector_type, count=1)
    done = picoseek.json("collection", "import", target, path)
    assert (done["documents"], done["unchanged"]) == (len(documents), 0)
    is_whole = name.endswith(".parquet")
    expected = [parts(one, all_=is_whole) for one in documents]
    assert [parts(one, all_=is_whole) for one in contents(client, target)] == expected
    sequence = client.get_collection(target).revision.sequence
    again = picoseek.run("collection", "import", target, path)
    assert f"0 documents written, {len(documents)} unchanged" in again.stdout
    assert "--again" in again.stderr
    assert client.get_collection(target).revision.sequence == sequence
    client.delete(target, ids=[documents[3].id])
    assert picoseek.json("collection", "import", target, path, "--again")["unchanged"] == 0
    assert [parts(one, all_=is_whole) for one in contents(client, target)] == expected


def test_some_are_exported(picoseek: CommandLine, client: Client, tmp_path: Path) -> None:
    fill(client, "some", count=70)
    picoseek.run("collection", "export", "some", tmp_path / "one.parquet", "--filter", 'item = "item 3"')
    table = pyarrow.parquet.read_table(tmp_path / "one.parquet")
    assert table.column("item").to_pylist() == ["item 3"] * 10


def test_files_that_do_not_fit_are_refused(picoseek: CommandLine, client: Client, tmp_path: Path) -> None:
    fill(client, "strict", count=1)
    folder = tmp_path / "npy"
    folder.mkdir()
    np.save(folder / "vectors.npy", np.ones((2, DIMENSION), np.float32))
    (folder / "ids.txt").write_text("a\nb\n")

    def attempt(*more: object) -> str:
        return picoseek.run("collection", "import", "strict", folder, *more, expect=1).stderr

    assert "give the space" in attempt()
    assert "EMBEDDING_SPACE_MISMATCH" in attempt("--space", "sha256:" + "00" * 32)
    np.save(folder / "vectors.npy", np.ones((2, DIMENSION + 1), np.float32))
    assert "VECTOR_DIMENSION_MISMATCH" in attempt("--space", SPACE)
    assert client.count("strict").documents == 1
    (tmp_path / "text.parquet").write_text("no parquet")
    assert "no Parquet" in picoseek.run("collection", "import", "strict", tmp_path / "text.parquet", expect=1).stderr
