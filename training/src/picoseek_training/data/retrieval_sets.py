"""Sets by name: the free public ones and a user's own for training, all of them as galleries and queries."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from picoseek_training.data.coco import read_coco
from picoseek_training.data.example import Example, RetrievalTask
from picoseek_training.data.own_sets import is_own_set, is_own_task, read_own_set, read_own_task

__all__ = ["RETRIEVAL_TASKS", "Example", "RetrievalTask", "retrieval_tasks", "training_examples"]

EMOJI_VENDORS = ("fluent", "google", "twitter")
EMOJI_TEST_CODES = 618
_SMALLEST_CROP = 40
_OWN_SETS = "name own ones in `sets`, `folder:PATH` or `labels:FILE`"
_OWN_TASKS = "measure on own ones, `SET -> SET` in `evaluation`, or on none, `--set 'evaluation=[]'`"


def training_examples(root: Path, sets: tuple[str, ...]) -> list[Example]:
    """Read the named sets in a fixed order.

    Args:
        root: folder of the public sets.
        sets: names of public sets, or own ones as `own_sets` writes them.

    Raises:
        ValueError: a set is unknown or not licensed for training, or an own set cannot be read.
        FileNotFoundError: a set is missing on disk.
    """
    unknown = [name for name in sets if name not in _TRAINING_SETS and not is_own_set(name)]
    if unknown:
        raise ValueError(
            f"no training sets: {unknown}; known: {sorted(_TRAINING_SETS)}, and own ones: `folder:PATH`, `labels:FILE`"
        )
    examples: list[Example] = []
    for name in sets:
        examples += read_own_set(name) if is_own_set(name) else _public(name, root, _TRAINING_SETS[name], _OWN_SETS)
    return examples


def retrieval_tasks(root: Path, names: tuple[str, ...]) -> list[RetrievalTask]:
    """Read the named evaluation tasks.

    Args:
        root: folder of the public sets.
        names: names of public tasks, or own ones as `own_sets` writes them.

    Raises:
        ValueError: a task is unknown, or an own set cannot be read.
        FileNotFoundError: a set is missing on disk.
    """
    unknown = [name for name in names if name not in _TASKS and not is_own_task(name)]
    if unknown:
        raise ValueError(f"no retrieval tasks: {unknown}; known: {sorted(_TASKS)}, and own ones: `SET -> SET`")
    return [read_own_task(name) if is_own_task(name) else _public_task(root, name) for name in names]


def _public_task(root: Path, name: str) -> RetrievalTask:
    return RetrievalTask(name, *(tuple(_public(name, root, side, _OWN_TASKS)) for side in _TASKS[name]))


def _public(name: str, root: Path, read: Callable[[Path], Iterator[Example]], instead: str) -> list[Example]:
    try:
        return list(read(root))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: the public set is not in {root}, {error.filename or error} is missing; say with `data` where the "
            f"public sets are, or {instead}"
        ) from error


def _grocery(root: Path, split: str) -> Iterator[Example]:
    folder = root / "grocery"
    for line in (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines():
        path, fine, _coarse = line.split(",")
        yield Example(folder / path, "grocery", fine)


def _grocery_iconic(root: Path) -> Iterator[Example]:
    folder = root / "grocery"
    with (folder / "iconic.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield Example(folder / row["path"], "grocery", row["fine_id"])


def _class_folders(folder: Path, domain: str) -> Iterator[Example]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist")
    for path in sorted(folder.glob("*/*")):
        yield Example(path, domain, path.parent.name)


def _emoji(root: Path, vendor: str, test: bool) -> Iterator[Example]:
    codes = sorted(entry["code"] for entry in json.loads((root / "emoji/meta.json").read_text(encoding="utf-8")))
    for code in codes[-EMOJI_TEST_CODES:] if test else codes[:-EMOJI_TEST_CODES]:
        yield Example(root / "emoji" / vendor / f"{code}.webp", "emoji", code)


def _emoji_training(root: Path) -> Iterator[Example]:
    for vendor in EMOJI_VENDORS:
        yield from _emoji(root, vendor, test=False)


def _detection_crops(root: Path, name: str) -> Iterator[Example]:
    folder = root / "detection" / name
    for picture in read_coco(folder / "train.json", folder / "images"):
        for x1, y1, x2, y2 in picture.boxes.tolist():
            margin_x, margin_y = 0.05 * (x2 - x1), 0.05 * (y2 - y1)
            box = (
                max(0, int(x1 - margin_x)),
                max(0, int(y1 - margin_y)),
                min(picture.width, round(x2 + margin_x)),
                min(picture.height, round(y2 + margin_y)),
            )
            if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST_CROP:
                yield Example(picture.path, name, None, box)


def _detection_pictures(root: Path, name: str) -> Iterator[Example]:
    folder = root / "detection" / name
    for picture in read_coco(folder / "train.json", folder / "images"):
        yield Example(picture.path, name)


_TRAINING_SETS: dict[str, Callable[[Path], Iterator[Example]]] = {
    "grocery": lambda root: _grocery(root, "train"),
    "coins": lambda root: _class_folders(root / "coins/train", "coins"),
    "clothing": lambda root: _class_folders(root / "clothing/train", "clothing"),
    "emoji": _emoji_training,
    "fod-crops": lambda root: _detection_crops(root, "fod"),
    "household-crops": lambda root: _detection_crops(root, "household"),
    "household": lambda root: _detection_pictures(root, "household"),
    "fruit-crops": lambda root: _detection_crops(root, "fruit"),
    "fruit": lambda root: _detection_pictures(root, "fruit"),
}

_Side = Callable[[Path], Iterator[Example]]
_TASKS: dict[str, tuple[_Side, _Side]] = {
    "grocery_train_to_val": (lambda r: _grocery(r, "train"), lambda r: _grocery(r, "val")),
    "grocery_train_to_test": (lambda r: _grocery(r, "train"), lambda r: _grocery(r, "test")),
    "grocery_iconic_to_test": (_grocery_iconic, lambda r: _grocery(r, "test")),
    "emoji_google_to_twitter": (lambda r: _emoji(r, "google", True), lambda r: _emoji(r, "twitter", True)),
    "emoji_google_to_fluent": (lambda r: _emoji(r, "google", True), lambda r: _emoji(r, "fluent", True)),
    "coins_train_to_test": (
        lambda r: _class_folders(r / "coins/train", "coins"),
        lambda r: _class_folders(r / "coins/test", "coins"),
    ),
    "logos_gallery_to_query": (
        lambda r: _class_folders(r / "logos/gallery", "logos"),
        lambda r: _class_folders(r / "logos/query", "logos"),
    ),
}

RETRIEVAL_TASKS: tuple[str, ...] = tuple(_TASKS)
"""Names of all tasks."""
