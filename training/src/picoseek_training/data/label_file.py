"""PaddleClas label files: a line a picture, `path label`, with a blank, a tab or a comma between."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from picoseek_training.data.example import Example
from picoseek_training.data.labelled_files import PICTURE_ENDINGS, LabelsError

_ENDINGS = "|".join(sorted(ending[1:] for ending in PICTURE_ENDINGS))
# The path ends where a picture's name does, so that blanks inside it do no harm.
_BLANKS = re.compile(rf"(?P<path>.*\.(?:{_ENDINGS}))\s+(?P<label>\S+)(?:\s+\S+)?", re.IGNORECASE)


def read_label_file(file: Path, images: Path | None = None, domain: str = "labels") -> list[Example]:
    """Read labelled pictures, sorted by path.

    What separates the columns is found out by looking at all lines: a tab in each of them, else a comma in each of them
    unless all have a blank behind a picture's name, else a blank. A third column (PaddleClas has an id of the camera
    there) is passed over, and so are empty lines and a first line that says `path,label`.

    Args:
        file: The label file, UTF-8.
        images: The folder that paths are relative to; by default the one the file lies in.
        domain: Domain of the examples.

    Raises:
        LabelsError: There is no such file, a line has no label, or the file names no pictures, or two things of one.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise LabelsError(f"{file} does not exist; give a label file, a line a picture: `path label`") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{file} is no text in UTF-8: {error}") from error
    root = file.parent if images is None else images
    labels: dict[Path, str] = {}
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    columns = _columns(file, [line for _, line in numbered])
    for (number, line), (name, label) in zip(numbered, columns, strict=True):
        if number == 1 and (name, label) == ("path", "label"):
            continue
        if not name or not label:
            raise LabelsError(f"{file}, line {number}: `{line}` has no path and label; write `path label`")
        path = root / name.replace("\\", "/")
        if labels.setdefault(path, label) != label:
            raise LabelsError(f"{file}, line {number}: {name} has two labels; keep one")
    if not labels:
        raise LabelsError(f"{file} names no pictures; write a line a picture: `path label`")
    return [Example(path, domain, label) for path, label in sorted(labels.items())]


def _columns(file: Path, lines: list[str]) -> list[tuple[str, str]]:
    """Path and label of each line, empty where there is none."""
    if all("\t" in line for line in lines):
        return [_first_two(line.split("\t")) for line in lines]
    behind_names = [_BLANKS.fullmatch(line) for line in lines]
    if all("," in line for line in lines) and not all(behind_names):
        try:
            return [_first_two(row) for row in csv.reader(lines, strict=True)]
        except csv.Error as error:
            raise LabelsError(f"{file} is no label file: {error}") from error
    return [
        (match["path"], match["label"]) if match else _first_two(line.split())
        for line, match in zip(lines, behind_names, strict=True)
    ]


def _first_two(cells: list[str]) -> tuple[str, str]:
    padded = [*(cell.strip() for cell in cells), "", ""]
    return padded[0], padded[1]
