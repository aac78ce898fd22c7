"""Folders and CSV files of labelled pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from picoseek import InvalidArgumentError, list_pictures, read_labelled_pictures


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_a_folder_a_class_with_deeper_folders_and_other_files(tmp_path: Path) -> None:
    _touch(tmp_path, "Кружка/b.JPG", "Кружка/deep/a.png", "tea pot/c.webp", "tea pot/notes.txt", ".hidden/d.jpg")
    found = [(picture.id, picture.label) for picture in read_labelled_pictures(tmp_path)]
    assert found == [
        ("tea pot/c.webp", "tea pot"),
        ("Кружка/b.JPG", "Кружка"),
        ("Кружка/deep/a.png", "Кружка"),
    ]


def test_a_flat_folder_gives_each_picture_its_name(tmp_path: Path) -> None:
    _touch(tmp_path, "cup.jpg", "pot.png")
    assert [picture.label for picture in read_labelled_pictures(tmp_path)] == ["cup", "pot"]


def test_a_csv_with_header_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('\ufeffpath,label\na.jpg,"tea, hot"\nsub\\b.jpg, cup \n\n', encoding="utf-8")
    pictures = read_labelled_pictures(file)
    assert [(picture.id, picture.label) for picture in pictures] == [("a.jpg", "tea, hot"), ("sub/b.jpg", "cup")]
    assert pictures[1].path == tmp_path / "sub" / "b.jpg"


@pytest.mark.parametrize(
    ("content", "word"),
    [("a.jpg\n", "line 1"), ("a.jpg,cup\na.jpg,pot\n", "two labels"), ("path,label\n", "names no pictures")],
)
def test_a_wrong_csv_names_the_line(tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(content)
    with pytest.raises(InvalidArgumentError, match=word):
        read_labelled_pictures(file)


def test_what_is_not_there_or_in_no_class_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="does not exist"):
        read_labelled_pictures(tmp_path / "nothing")
    _touch(tmp_path, "cup/a.jpg", "stray.jpg")
    with pytest.raises(InvalidArgumentError, match=r"stray\.jpg is in no class"):
        read_labelled_pictures(tmp_path)


def test_what_looks_like_a_picture_is_listed_and_all_else_is_counted(tmp_path: Path) -> None:
    _touch(tmp_path, "shoe/a.jpg", "bag/b.TIFF", "cap/c.jfif", "cap/t.gif", "tie/d", "tie/e.pic", "car/BMW.txt")
    _touch(tmp_path, "shoe/notes.TXT", "shoe/list.csv", "shoe/.DS_Store", "shoe/.thumbs/x.jpg", "tie/Makefile")
    (tmp_path / "tie" / "d").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    (tmp_path / "tie" / "e.pic").write_bytes(b"RIFF....WEBPVP8 ")
    (tmp_path / "car" / "BMW.txt").write_bytes(b"BMW makes cars.")
    os.mkfifo(tmp_path / "tie" / "pipe")
    listed = list_pictures(tmp_path)
    assert [picture.id for picture in listed.pictures] == [
        *("bag/b.TIFF", "cap/c.jfif", "cap/t.gif", "shoe/a.jpg", "tie/d", "tie/e.pic")
    ]
    assert listed.passed_over == {".csv": 1, ".txt": 2, "hidden": 1, "no ending": 2}


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    _touch(tmp_path, "shoe/a.docx", "shoe/b.docx")
    with pytest.raises(InvalidArgumentError, match=r"names no pictures; .*; other files: 2 \(2 \.docx\)"):
        read_labelled_pictures(tmp_path)
