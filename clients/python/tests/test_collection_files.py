from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from picoseek import AttributeField, AttributeType, Collection, Document, EmbeddingSpace, InvalidArgumentError
from picoseek.collection_files import open_file, open_writer
from pyarrow import parquet

DIMENSION = 4
COLLECTION = Collection("any", EmbeddingSpace("sha256:" + "ab" * 32, DIMENSION))
IDS = [f"n{number}" for number in range(6)]
GOOD = np.ones((6, DIMENSION), np.float32)


def _with(row: int, component: int, value: float) -> np.ndarray:
    vectors = GOOD.copy()
    vectors[row, component] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "ids", "word"),
    [
        (GOOD[:, 1:], IDS, "3 components, the collection takes 4"),
        (GOOD, IDS[1:], "6 rows, ids has 5"),
        (GOOD.astype(np.int64), IDS, "int64"),
        (GOOD.astype(np.float16), IDS, "astype('float32')"),
        (GOOD, [*IDS[:4], "", IDS[5]], "row 4"),
        (_with(3, 2, np.nan), IDS, "row 3"),
        (GOOD[0], IDS, "one row a document"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path: Path, vectors: np.ndarray, ids: list[str], word: str) -> None:
    np.save(tmp_path / "vectors.npy", vectors)
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    with pytest.raises(InvalidArgumentError) as refused:
        for _ in open_file(tmp_path, COLLECTION).batches(2):
            pass
    assert word in str(refused.value)


def test_vectors_alone_are_no_documents(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", GOOD)
    with pytest.raises(InvalidArgumentError, match=r"name the folder .* ids\.txt"):
        open_file(tmp_path / "vectors.npy", COLLECTION)


@pytest.mark.parametrize("name", ["documents.csv", "documents.NPZ"])
def test_nothing_is_written_in_a_format_that_the_name_does_not_say(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"ends with \.parquet"):
        open_writer(tmp_path / name, COLLECTION)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("labels", ["shoe"] * 6, "column labels is of type string; it takes a list of texts"),
        ("attributes", ["colour=red"] * 6, "column attributes is of type string; it takes a structure"),
        ("vector", [1.0] * 6, "column vector is of type double; it takes a list of numbers"),
        ("crop_box", ["0 0 1 1"] * 6, "column crop_box is of type string; it takes a list of four numbers"),
    ],
)
def test_a_parquet_column_of_another_structure_is_refused_when_it_is_opened(
    tmp_path: Path, column: str, values: list[object], words: str
) -> None:
    path = tmp_path / "documents.parquet"
    parquet.write_table(pa.table({"id": IDS, "vector": GOOD.tolist()} | {column: values}), path)
    with pytest.raises(InvalidArgumentError, match=words):
        open_file(path, COLLECTION)


def test_a_null_vector_is_named(tmp_path: Path) -> None:
    path = tmp_path / "documents.parquet"
    parquet.write_table(pa.table({"id": IDS, "vector": [*GOOD.tolist()[:5], None]}), path)
    with pytest.raises(InvalidArgumentError, match="row 5: vector is null"):
        list(open_file(path, COLLECTION).batches(10))


def test_whole_numbers_of_an_attribute_of_numbers_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "documents.parquet"
    attributes = [{"price": number, "count": number} for number in range(6)]
    parquet.write_table(pa.table({"id": IDS, "vector": GOOD.tolist(), "attributes": attributes}), path)
    schema = (AttributeField("price", AttributeType.DOUBLE), AttributeField("count", AttributeType.INT))
    (batch,) = open_file(path, replace(COLLECTION, schema=schema)).batches(10)
    assert [type(value) for value in batch[5].attributes.values()] == [float, int]
    assert dict(batch[5].attributes) == {"price": 5.0, "count": 5}


def test_a_name_ends_with_parquet_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "UP.PARQUET"
    writer = open_writer(path, COLLECTION)
    writer.write([Document("a", GOOD[0])])
    writer.finish()
    writer.close()
    assert path.is_file() and [one.id for one in next(open_file(path, COLLECTION).batches(2))] == ["a"]


@pytest.mark.parametrize("name", ["documents.parquet", "documents"])
def test_a_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="nodir is no folder; make it"):
        open_writer(tmp_path / "nodir" / name, COLLECTION)
    assert not list(tmp_path.iterdir())


def test_parquet_columns_may_be_lists_of_any_kind_or_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "documents.parquet"
    vectors = pa.array(GOOD.tolist(), pa.list_(pa.float32(), DIMENSION))
    labels = pa.array([["shoe", "boot"]] * 6, pa.large_list(pa.large_string()))
    parquet.write_table(pa.table({"id": IDS, "vector": vectors, "labels": labels, "crop_box": pa.nulls(6)}), path)
    (batch,) = open_file(path, COLLECTION).batches(10)
    assert [one.labels for one in batch] == [("shoe", "boot")] * 6
