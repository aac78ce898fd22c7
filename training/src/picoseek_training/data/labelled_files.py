"""A user's labelled pictures: a folder a class, or a CSV file, written as for `picoseek gallery import`."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from picoseek_training.data.example import Example

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""Endings of files that are taken for pictures in a folder; a CSV file may name others."""
_DOMAIN = "labels"


class LabelsError(ValueError):
    """Labelled pictures cannot be used; the message says which and what to do."""


def read_labelled_files(source: Path) -> list[Example]:
    """Read labelled pictures, sorted by path.

    Args:
        source: a folder with a folder a class (deeper folders belong to their class), or a CSV file `path,label` with
            paths relative to it; a first line that says `path,label` is passed over.

    Raises:
        LabelsError: there is no such thing, it names no pictures, or it says two things of one picture.
    """
    if source.is_dir():
        labels = _read_folder(source)
    elif source.is_file():
        labels = _read_csv(source)
    else:
        raise LabelsError(f"{source} does not exist; give a folder a class, or a CSV file `path,label`")
    if not labels:
        raise LabelsError(f"{source} names no pictures; give a folder a class, or a CSV file `path,label`")
    return [Example(path, _DOMAIN, label) for path, label in sorted(labels.items())]


def unread_files(root: Path) -> list[Path]:
    """Return what read_labelled_files() passes over in the classes of a folder, sorted; hidden files left out."""
    return sorted(path for path in _files(root) if path.parent != root and not _is_picture(path))


def _read_folder(root: Path) -> dict[Path, str]:
    labels: dict[Path, str] = {}
    for path in filter(_is_picture, _files(root)):
        parts = path.relative_to(root).parts
        if len(parts) == 1:
            raise LabelsError(f"{path} is in no class; put it into the folder of its class, or move it away")
        labels[path] = parts[0]
    return labels


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS


def _read_csv(file: Path) -> dict[Path, str]:
    labels: dict[Path, str] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                cells = [cell.strip() for cell in row]
                if not any(cells) or (number == 1 and cells[:2] == ["path", "label"]):
                    continue
                if len(cells) < 2 or not cells[0] or not cells[1]:
                    raise LabelsError(f"{file}, line {number}: write `path,label`")
                path = file.parent / cells[0].replace("\\", "/")
                if labels.setdefault(path, cells[1]) != cells[1]:
                    raise LabelsError(f"{file}, line {number}: {cells[0]} has two labels; keep one")
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{file} is no CSV file in UTF-8: {error}") from error
    return labels
