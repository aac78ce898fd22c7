"""A user's labelled pictures: folders and CSV files, and what cannot be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picoseek_training.data.example import Example
from picoseek_training.data.labelled_files import LabelsError, read_labelled_files
from picoseek_training.general_bundle.holdout import check_classes, hold_out


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def _examples(**counts: int) -> list[Example]:
    return [
        Example(Path(label, f"{number}.png"), "labels", label)
        for label, count in counts.items()
        for number in range(count)
    ]


def test_a_folder_a_class_with_deeper_folders_and_other_files(tmp_path: Path) -> None:
    _touch(tmp_path, "Кружка/b.JPG", "Кружка/deep/a.png", "tea pot/c.webp", "tea pot/notes.txt", ".hidden/d.jpg")
    found = {(str(example.path.relative_to(tmp_path)), example.label) for example in read_labelled_files(tmp_path)}
    assert found == {("Кружка/b.JPG", "Кружка"), ("Кружка/deep/a.png", "Кружка"), ("tea pot/c.webp", "tea pot")}


def test_a_csv_with_header_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('\ufeffpath,label\na.jpg,"tea, hot"\nsub\\b.jpg, cup \n\n', encoding="utf-8")
    found = [(example.path, example.label) for example in read_labelled_files(file)]
    assert found == [(tmp_path / "a.jpg", "tea, hot"), (tmp_path / "sub/b.jpg", "cup")]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("a.jpg\n", "line 1: write `path,label`"),
        ("a.jpg,cup\na.jpg,pot\n", "line 2: a.jpg has two labels"),
        ("path,label\n", "names no pictures"),
        ("a.jpg,\xff\n", "no CSV file in UTF-8"),
    ],
)
def test_a_wrong_csv_names_the_line(tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(LabelsError, match=word):
        read_labelled_files(file)


def test_what_is_not_there_is_empty_or_in_no_class_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="does not exist"):
        read_labelled_files(tmp_path / "nothing")
    with pytest.raises(LabelsError, match="names no pictures"):
        read_labelled_files(tmp_path)
    _touch(tmp_path, "cup/a.jpg", "stray.jpg")
    with pytest.raises(LabelsError, match=r"stray\.jpg is in no class"):
        read_labelled_files(tmp_path)


def test_a_class_with_one_picture_is_named() -> None:
    with pytest.raises(LabelsError, match=r"fewer than two pictures: pot; .* leave the class out"):
        check_classes(_examples(cup=2, pot=1))
    with pytest.raises(LabelsError, match="all pictures are of one class, 'cup'"):
        check_classes(_examples(cup=5))
    check_classes(_examples(cup=2, pot=2))


def test_a_class_that_lost_its_pictures_is_named() -> None:
    good, (lost, *_) = _examples(cup=2, pot=1), _examples(pan=1)
    with pytest.raises(LabelsError, match=r"that can be read: pot, pan; "):
        check_classes(good, [lost])


def test_a_fifth_of_every_class_is_kept_aside_and_something_of_each_is_learned() -> None:
    examples = _examples(cup=2, pot=10, pan=23)
    held = hold_out(examples)
    kept = [example.label for example, aside in zip(examples, held, strict=True) if aside]
    assert {label: kept.count(label) for label in ("cup", "pot", "pan")} == {"cup": 1, "pot": 2, "pan": 4}
    np.testing.assert_array_equal(held, hold_out(examples))


def test_not_more_is_kept_aside_than_measuring_needs() -> None:
    assert hold_out(_examples(**{f"c{number}": 100 for number in range(80)})).sum() == 1000
