from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picoseek import Collection, EmbeddingSpace, InvalidArgumentError
from picoseek.collection_files import open_file, open_writer

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
