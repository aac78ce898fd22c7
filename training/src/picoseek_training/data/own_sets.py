"""A user's own labelled pictures, named in a configuration where the public sets are named.

* `folder:PATH`: a folder a class.
* `labels:FILE`, `labels:FILE@FOLDER`: a PaddleClas label file or a CSV file, its paths relative to it or to the folder.
* `SET -> SET`, both of the forms above: a task that looks the second set's pictures up among those of the first.

Paths are relative to the working directory. Each set is a domain of its own: its classes are told apart from each
other, and not from those of other sets.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from picoseek_training.data.example import Example, RetrievalTask
from picoseek_training.data.label_file import read_label_file
from picoseek_training.data.labelled_files import LabelsError, read_labelled_files

_FOLDER, _LABELS, _LOOKED_UP_BY = "folder:", "labels:", "->"


def is_own_set(name: str) -> bool:
    """Whether a name is that of an own set."""
    return any(name.startswith(form) and name != form for form in (_FOLDER, _LABELS)) and _LOOKED_UP_BY not in name


def is_own_task(name: str) -> bool:
    """Whether a name is that of an own task."""
    sides = [side.strip() for side in name.split(_LOOKED_UP_BY)]
    return len(sides) == 2 and all(map(is_own_set, sides))


def read_own_set(name: str) -> list[Example]:
    """Read an own set, sorted by path; its name is its domain.

    Raises:
        LabelsError: it does not exist or cannot be used; the message says why.
    """
    if name.startswith(_FOLDER):
        root = Path(name.removeprefix(_FOLDER))
        examples = [replace(example, domain=name) for example in read_labelled_files(root)]
        _refuse_empty_classes(root, {example.label for example in examples})
        return examples
    file, images = file_of(name)
    return read_label_file(file, images, domain=name)


def file_of(name: str) -> tuple[Path, Path | None]:
    """Return the file or folder that the name of an own set stands for, and the folder that its paths are relative to.

    Any other name is a path.
    """
    if name.startswith(_FOLDER) and name != _FOLDER:
        return Path(name.removeprefix(_FOLDER)), None
    file = name.removeprefix(_LABELS)
    if file == name or Path(file).is_file() or "@" not in file:
        return Path(file), None
    file, _, folder = file.rpartition("@")
    return Path(file), Path(folder)


def _refuse_empty_classes(folder: Path, labels: set[str | None]) -> None:
    if not folder.is_dir():
        return
    for part in sorted(folder.iterdir()):
        if part.is_dir() and not part.name.startswith(".") and part.name not in labels:
            raise LabelsError(f"{part} is a class without pictures; add some, or remove the folder")


def read_own_task(name: str) -> RetrievalTask:
    """Read an own task, see `read_own_set`."""
    gallery, queries = (tuple(read_own_set(side.strip())) for side in name.split(_LOOKED_UP_BY))
    return RetrievalTask(name, gallery, queries)
