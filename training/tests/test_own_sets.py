"""A user's own label files and folders, as sets and tasks of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_training.data.classes import number_classes
from picoseek_training.data.example import Example
from picoseek_training.data.label_file import read_label_file
from picoseek_training.data.labelled_files import LabelsError
from picoseek_training.data.retrieval_sets import retrieval_tasks, training_examples


def _write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _read(tmp_path: Path, text: str) -> list[tuple[str, str | None]]:
    file = _write(tmp_path / "train_list.txt", text)
    return [(example.path.relative_to(tmp_path).as_posix(), example.label) for example in read_label_file(file)]


@pytest.mark.parametrize(
    "text",
    [
        "a/1.jpg 3\nb/2.JPEG 10\n",
        "a/1.jpg\t3\nb/2.JPEG\t10\n",
        "a/1.jpg,3\r\nb/2.JPEG,10\r\n",
        "path,label\na/1.jpg,3\nb/2.JPEG,10\n",
        "\ufeffb/2.JPEG 10\n\na/1.jpg 3",
        "a/1.jpg 3 0\nb/2.JPEG 10 1\n",
        "a\\1.jpg\t3\t7\nb\\2.JPEG\t10\t8\n",
    ],
)
def test_label_files_of_every_form(tmp_path: Path, text: str) -> None:
    assert _read(tmp_path, text) == [("a/1.jpg", "3"), ("b/2.JPEG", "10")]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("my shoes/a b.jpg 3\n", [("my shoes/a b.jpg", "3")]),
        ("my shoes/a b.jpg\trunning shoe\n", [("my shoes/a b.jpg", "running shoe")]),
        ('"a, b.jpg","shoe, red"\nc.png,hat\n', [("a, b.jpg", "shoe, red"), ("c.png", "hat")]),
        ("a,b.jpg 3\nc,d.png 4 1\n", [("a,b.jpg", "3"), ("c,d.png", "4")]),
        ("鞋/一.jpg 鞋\n", [("鞋/一.jpg", "鞋")]),
        ("frames/0001 3\n", [("frames/0001", "3")]),
    ],
)
def test_blanks_commas_and_other_scripts_in_names(tmp_path: Path, text: str, pairs: list[tuple[str, str]]) -> None:
    assert _read(tmp_path, text) == pairs


_NAME = st.from_regex(r"\A[a-z0-9_ ]{0,6}[a-z]/[a-z0-9,]{1,6}\.(jpg|png|webp)\Z").map(str.lstrip)
_LABEL = st.from_regex(r"\A[a-z0-9_]{1,8}\Z")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_NAME, _LABEL, min_size=1, max_size=6), st.sampled_from([" ", "\t"]))
def test_what_is_written_is_read(tmp_path: Path, labels: dict[str, str], separator: str) -> None:
    text = "".join(f"{name}{separator}{label}\n" for name, label in labels.items())
    assert dict(_read(tmp_path, text)) == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 1\nb.jpg\n", r"line 2: `b\.jpg` has no path and label"),
        ("a.jpg,1\nb.jpg,\n", "line 2: "),
        ("a.jpg 1\na.jpg 2\n", r"line 2: a\.jpg has two labels"),
        ("\n", "names no pictures"),
        ("path,label\n", "names no pictures"),
        ('a.jpg,"1\nb.jpg,2\n', "is no label file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        _read(tmp_path, text)


def test_files_that_are_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none\.txt does not exist"):
        read_label_file(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"\xe4.jpg 1\n")
    with pytest.raises(LabelsError, match="no text in UTF-8"):
        read_label_file(tmp_path / "latin.txt")


def test_own_sets_stand_where_public_ones_are_named(tmp_path: Path) -> None:
    for name in ("shoes/a/1.png", "shoes/b/2.png", "pictures/3.png", "coins/train/euro/4.png"):
        _write(tmp_path / name)
    _write(tmp_path / "lists/train.txt", "3.png a\n")
    folder, labels = f"folder:{tmp_path}/shoes", f"labels:{tmp_path}/lists/train.txt@{tmp_path}/pictures"
    examples = training_examples(tmp_path, (folder, "coins", labels))
    assert examples == [
        Example(tmp_path / "shoes/a/1.png", folder, "a"),
        Example(tmp_path / "shoes/b/2.png", folder, "b"),
        Example(tmp_path / "coins/train/euro/4.png", "coins", "euro"),
        Example(tmp_path / "pictures/3.png", labels, "a"),
    ]
    assert number_classes(examples).count == 4


def test_own_tasks(tmp_path: Path) -> None:
    for name in ("known/a/1.png", "asked/a/2.png", "asked/b/3.png"):
        _write(tmp_path / name)
    name = f"folder:{tmp_path}/known -> folder:{tmp_path}/asked"
    (task,) = retrieval_tasks(tmp_path, (name,))
    assert task.name == name
    assert [example.label for example in task.gallery] == ["a"]
    assert [example.label for example in task.queries] == ["a", "b"]


def test_a_label_file_whose_name_has_an_at_sign(tmp_path: Path) -> None:
    _write(tmp_path / "me@here/train.txt", "1.png a\n")
    (example,) = training_examples(tmp_path, (f"labels:{tmp_path}/me@here/train.txt",))
    assert example.path == tmp_path / "me@here/1.png"


@pytest.mark.parametrize("name", ["folder:", "folders:a", "folder:a -> folder:b"])
def test_what_is_no_set_is_refused_with_the_forms_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"folder:PATH|names no pictures|is in no class"):
        training_examples(tmp_path, (name,))
