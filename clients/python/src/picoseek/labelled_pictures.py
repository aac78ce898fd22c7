"""Lists of pictures with labels: a folder a class, or a CSV file."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from picoseek.errors import InvalidArgumentError

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""Endings of files that are taken for pictures in a folder; a CSV file may name others."""


@dataclass(frozen=True)
class LabelledPicture:
    """A picture file and what it shows."""

    id: str
    """Path below the folder, or as written in the CSV file, with forward slashes: the same in every run."""
    path: Path
    """The file."""
    label: str
    """What it shows."""


def read_labelled_pictures(source: Path) -> list[LabelledPicture]:
    """Read a list of pictures, sorted by id.

    Args:
        source: a folder with a folder a class (deeper folders belong to their class; a folder of pictures alone
            gives each picture its file name as label), or a CSV file `path,label` with paths relative to it. A
            first line that says `path,label` is passed over.

    Raises:
        InvalidArgumentError: there is no such thing, it holds no pictures, or it says two things of one picture.
    """
    if source.is_dir():
        pictures = _read_folder(source)
    elif source.is_file():
        pictures = _read_csv(source)
    else:
        raise InvalidArgumentError(f"{source} does not exist; give a folder with a folder a class, or a CSV file")
    if not pictures:
        raise InvalidArgumentError(f"{source} names no pictures; give a folder with a folder a class, or a CSV file")
    return sorted(pictures, key=lambda picture: picture.id)


def _read_folder(root: Path) -> list[LabelledPicture]:
    files: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_ENDINGS
        ]
    relative = [file.relative_to(root) for file in files]
    flat = all(len(path.parts) == 1 for path in relative)
    if not flat and (stray := next((path for path in relative if len(path.parts) == 1), None)):
        raise InvalidArgumentError(
            f"{root / stray} is in no class; put it into the folder of its class, or move it away"
        )
    return [LabelledPicture(path.as_posix(), root / path, path.stem if flat else path.parts[0]) for path in relative]


def _read_csv(file: Path) -> list[LabelledPicture]:
    pictures: dict[str, LabelledPicture] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                cells = [cell.strip() for cell in row]
                if not any(cells) or (number == 1 and cells[:2] == ["path", "label"]):
                    continue
                if len(cells) < 2 or not cells[0] or not cells[1]:
                    raise InvalidArgumentError(f"{file}, line {number}: write `path,label`")
                path = cells[0].replace("\\", "/")
                picture = LabelledPicture(path, file.parent / path, cells[1])
                if pictures.setdefault(path, picture) != picture:
                    raise InvalidArgumentError(f"{file}, line {number}: {path} has two labels; keep one")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgumentError(f"{file} is no CSV file in UTF-8: {error}") from error
    return list(pictures.values())
