"""Lists of pictures with labels: a folder a class, or a CSV file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from picoseek.errors import InvalidArgumentError

_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".avif", ".heic", ".heif", ".jp2", ".jxl", ".ico", ".psd", ".svg"}
)
_BEGINNINGS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"8BPS"),
    *(b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL "),
)
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
_HIDDEN = "hidden"
_NO_ENDING = "no ending"


@dataclass(frozen=True)
class LabelledPicture:
    """A picture file and what it shows."""

    id: str
    """Path below the folder, or as written in the CSV file, with forward slashes: the same in every run."""
    path: Path
    """The file."""
    label: str
    """What it shows."""


@dataclass(frozen=True)
class PictureList:
    """The pictures of a folder or a CSV file."""

    pictures: list[LabelledPicture]
    """All files that look like pictures, by their ending or their first bytes, sorted by id."""
    passed_over: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many other files a folder has: by ending, or "hidden" or "no ending"."""


def read_labelled_pictures(source: Path) -> list[LabelledPicture]:
    """Return the pictures of `list_pictures`."""
    return list_pictures(source).pictures


def list_pictures(source: Path) -> PictureList:
    """Read a list of pictures. Whether they can be used, only the service knows.

    Args:
        source: a folder with a folder a class (deeper folders belong to their class; a folder of pictures alone
            gives each picture its file name as label), or a CSV file `path,label` with paths relative to it. A
            first line that says `path,label` is passed over.

    Raises:
        InvalidArgumentError: there is no such thing, it holds no pictures, or it says two things of one picture.
    """
    if source.is_dir():
        listed = _read_folder(source)
    elif source.is_file():
        listed = PictureList(_read_csv(source))
    else:
        raise InvalidArgumentError(f"{source} does not exist; give a folder with a folder a class, or a CSV file")
    if not listed.pictures:
        others = f"; other files: {describe(listed.passed_over)}" if listed.passed_over else ""
        raise InvalidArgumentError(
            f"{source} names no pictures; give a folder with a folder a class, or a CSV file{others}"
        )
    return PictureList(sorted(listed.pictures, key=lambda picture: picture.id), listed.passed_over)


def describe(passed_over: Mapping[str, int]) -> str:
    """Return how many files were passed over, and of which kinds."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in passed_over.items())
    return f"{sum(passed_over.values())} ({kinds})"


def _read_folder(root: Path) -> PictureList:
    files: list[Path] = []
    others: Counter[str] = Counter()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if name.startswith("."):
                others[_HIDDEN] += 1
            elif file.suffix.lower() in _ENDINGS or _begins_like_a_picture(file):
                files.append(file)
            else:
                others[file.suffix.lower() or _NO_ENDING] += 1
    relative = [file.relative_to(root) for file in files]
    flat = all(len(path.parts) == 1 for path in relative)
    if not flat and (stray := next((path for path in relative if len(path.parts) == 1), None)):
        raise InvalidArgumentError(
            f"{root / stray} is in no class; put it into the folder of its class, or move it away"
        )
    pictures = [
        LabelledPicture(path.as_posix(), root / path, path.stem if flat else path.parts[0]) for path in relative
    ]
    return PictureList(pictures, dict(sorted(others.items())))


def _begins_like_a_picture(file: Path) -> bool:
    if not file.is_file():  # reading a pipe would wait
        return False
    try:
        with file.open("rb") as content:
            first = content.read(16)
    except OSError:
        return False
    return (
        first.startswith(_BEGINNINGS)
        or (first[:2] == b"BM" and first[6:10] == bytes(4))
        or (first[:4] == b"RIFF" and first[8:12] == b"WEBP")
        or (first[4:8] == b"ftyp" and first[8:12] in _BRANDS)
    )


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
