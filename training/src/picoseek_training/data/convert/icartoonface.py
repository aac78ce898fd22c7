"""iCartoonFace, detection track: a line a face, `picture,x1,y1,x2,y2`.

The annotations circulate as CSV files with and without a header and as text files with tabs or blanks; columns behind
the box (class, score) carry nothing here. They do not state the pictures' sizes.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from picoseek_training.data.convert.source import SourceBox, SourcePicture


def read_icartoonface(annotations: Path, images: Path) -> list[SourcePicture]:
    """Read the faces of each picture.

    Args:
        annotations: The CSV or text file.
        images: The folder with the pictures.

    Raises:
        FileNotFoundError: There is no such annotation file.
        ValueError: A line is not of this format; the message names it.
    """
    if not annotations.is_file():
        raise FileNotFoundError(f"{annotations} does not exist; name the annotation file")
    boxes: dict[str, list[SourceBox]] = {}
    try:
        with annotations.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                cells = _cells(line)
                box = _box(cells[1:5])
                if box is not None:
                    boxes.setdefault(cells[0].replace("\\", "/"), []).append(box)
                elif number > 1 or len(cells) < 5:
                    raise ValueError(f"{annotations}, line {number}: write `picture,x1,y1,x2,y2`")
    except UnicodeDecodeError as error:
        raise ValueError(f"{annotations} is no text in UTF-8: {error}") from error
    return [
        SourcePicture(name, tuple(dict.fromkeys((images / name, images / PurePosixPath(name).name))), tuple(faces))
        for name, faces in boxes.items()
    ]


def _cells(line: str) -> list[str]:
    for separator in ("\t", ","):
        if separator in line:
            return [cell.strip() for cell in line.split(separator)]
    return line.split()


def _box(cells: list[str]) -> SourceBox | None:
    """The box, or None where the cells are no four numbers, as in a header."""
    try:
        x1, y1, x2, y2 = (float(cell) for cell in cells)
    except ValueError:
        return None
    return SourceBox(x1, y1, x2, y2)
