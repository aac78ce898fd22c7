"""One thing that was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What can be found; the value is its name in JSON."""

    MISSING_FILE = "missing-file"
    BROKEN_PICTURE = "broken-picture"
    SIZE_DIFFERS = "size-differs"
    LOOSE_ANNOTATION = "loose-annotation"
    BOX_OUTSIDE = "box-outside"
    BOX_DEGENERATE = "box-degenerate"
    EMPTY_SPLIT = "empty-split"
    EMPTY_CLASS = "empty-class"
    ONE_CLASS = "one-class"
    TWO_LABELS = "two-labels"
    DUPLICATE_BETWEEN_SPLITS = "duplicate-between-splits"
    CATEGORY_WITHOUT_BOXES = "category-without-boxes"
    CLASS_OF_ONE = "class-of-one"
    NO_BOX = "no-box"
    TINY_PICTURE = "tiny-picture"
    UNREAD_FILE = "unread-file"
    DUPLICATE_IN_SPLIT = "duplicate-in-split"
    NEAR_DUPLICATE_BETWEEN_SPLITS = "near-duplicate-between-splits"
    NEAR_DUPLICATE_IN_SPLIT = "near-duplicate-in-split"

    @property
    def is_error(self) -> bool:
        """Whether it stops a training, or spoils what is learned or measured; the others deserve a look."""
        return self in _ERRORS

    @property
    def explanation(self) -> str:
        """What it means, and what to do."""
        return (_ERRORS | _WARNINGS)[self]


_ERRORS = {
    Kind.MISSING_FILE: "files do not exist; restore them or take them off the list",
    Kind.BROKEN_PICTURE: "pictures cannot be decoded; replace them or take them off the list",
    Kind.SIZE_DIFFERS: "pictures have another size than the annotations say, so that boxes lie wrong; correct it",
    Kind.LOOSE_ANNOTATION: "annotations belong to a picture or category that is not listed; list it or remove them",
    Kind.BOX_OUTSIDE: "boxes leave their picture; clip them",
    Kind.BOX_DEGENERATE: "boxes have no area or no finite numbers; remove them",
    Kind.EMPTY_SPLIT: "splits have nothing to learn from or to measure on; add to them",
    Kind.EMPTY_CLASS: "classes have no picture; add pictures or remove the folder",
    Kind.ONE_CLASS: "splits have a single class, so that there is nothing to tell apart; add classes",
    Kind.TWO_LABELS: "pictures have two labels; keep one",
    Kind.DUPLICATE_BETWEEN_SPLITS: "files are in several splits, so that figures flatter; keep each in one",
}
_WARNINGS = {
    Kind.CATEGORY_WITHOUT_BOXES: "categories have no box",
    Kind.CLASS_OF_ONE: "classes have a single picture, which teaches no likeness",
    Kind.NO_BOX: "pictures have no box; a detector learns that nothing is there",
    Kind.TINY_PICTURE: "pictures are tiny",
    Kind.UNREAD_FILE: "files are of no kind that is read from folders; convert them if they are pictures",
    Kind.DUPLICATE_IN_SPLIT: "files are in one split more than once",
    Kind.NEAR_DUPLICATE_BETWEEN_SPLITS: "groups of pictures look alike across splits; figures may flatter",
    Kind.NEAR_DUPLICATE_IN_SPLIT: "groups of pictures look alike in one split",
}


@dataclass(frozen=True)
class Finding:
    """Something about one picture, class or group of pictures."""

    kind: Kind
    split: str
    """Name of the split; of several, with ` + ` between."""
    what: str
    """The picture, the class or the pictures."""
    detail: str = ""
