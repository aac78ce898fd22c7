"""Reads what a user calls a split: a COCO file, a label file or a folder a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from picoseek_training.data.check.finding import Finding, Kind
from picoseek_training.data.check.split import Box, ListedPicture, Split
from picoseek_training.data.example import Example
from picoseek_training.data.json_file import list_of, read_json_object, value_of
from picoseek_training.data.label_file import read_label_file
from picoseek_training.data.labelled_files import read_labelled_files, unread_files


def read_split(name: str, source: Path, images: Path | None = None) -> Split:
    """Read a split.

    Args:
        name: Of the split.
        source: A COCO file (`.json`), a label file, or a folder with a folder a class.
        images: The folder that a file's paths are relative to; by default that of the file, or `images` beside it.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: It cannot be read; the message names file and entry.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist; give a COCO file, a label file or a folder a class")
    if source.is_dir():
        empty = [folder.name for folder in sorted(source.iterdir()) if folder.is_dir() and folder.name[0] != "."]
        unread = [Finding(Kind.UNREAD_FILE, name, str(path)) for path in unread_files(source)]
        return _labelled(name, read_labelled_files(source), empty, unread)
    if source.suffix.lower() == ".json":
        return _coco(name, source, images)
    return _labelled(name, read_label_file(source, images), [], [])


def _labelled(name: str, examples: Sequence[Example], folders: Sequence[str], findings: Sequence[Finding]) -> Split:
    counts = Counter(str(example.label) for example in examples)
    pictures = tuple(ListedPicture(example.path, example.label) for example in examples)
    classes = {label: counts[label] for label in sorted({*counts, *folders})}
    return Split(name, "pictures", pictures, classes, tuple(findings))


def _coco(name: str, source: Path, images: Path | None) -> Split:
    document = read_json_object(source)
    entries = list_of(document, "images", source)
    boxes: dict[Any, list[Box]] = {value_of(each, "id", f"{source}: an image"): [] for each in entries}
    categories = {
        value_of(each, "id", f"{source}: a category"): str(each.get("name", each["id"]))
        for each in list_of(document, "categories", source)
    }
    counts: Counter[Any] = Counter()
    findings: list[Finding] = []
    for number, entry in enumerate(list_of(document, "annotations", source)):
        what = f"annotation {entry.get('id', f'number {number}')}"
        where = f"{source}: {what}"
        identity, category = value_of(entry, "image_id", where), value_of(entry, "category_id", where)
        box = _box(value_of(entry, "bbox", where), where)
        if identity not in boxes:
            findings.append(Finding(Kind.LOOSE_ANNOTATION, name, what, f"image {identity}"))
        elif category not in categories:
            findings.append(Finding(Kind.LOOSE_ANNOTATION, name, what, f"category {category}"))
        elif not entry.get("iscrowd", 0):
            boxes[identity].append(box)
            counts[category] += 1
    names = [str(value_of(each, "file_name", f"{source}: image {each['id']}")) for each in entries]
    root = images or _root(source, names)
    pictures = tuple(
        ListedPicture(root / file, None, entry.get("width"), entry.get("height"), tuple(boxes[entry["id"]]))
        for entry, file in zip(entries, names, strict=True)
    )
    return Split(name, "boxes", pictures, {label: counts[key] for key, label in categories.items()}, tuple(findings))


def _box(values: Any, where: str) -> Box:
    try:
        x, y, width, height = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: bbox {values!r} must be x, y, width, height") from error
    return x, y, x + width, y + height


def _root(source: Path, names: Sequence[str]) -> Path:
    folders = source.parent, source.parent / "images"
    # The first of those with the most of the pictures, so that a few that are missing do not mislead.
    return max(folders, key=lambda folder: sum((folder / name).exists() for name in names))
