"""Opens every picture of the splits once and says what is wrong."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from picoseek_bundle import PictureError

from picoseek_training.data.check.alike import alike
from picoseek_training.data.check.config import CheckConfig
from picoseek_training.data.check.finding import Finding, Kind
from picoseek_training.data.check.picture_state import PictureState, inspect_picture
from picoseek_training.data.check.read_split import read_split
from picoseek_training.data.check.report import CheckReport
from picoseek_training.data.check.split import Box, ListedPicture, Split

_MOST_NAMED = 6


@dataclass(frozen=True)
class _Seen:
    """A picture that could be opened."""

    split: str
    picture: ListedPicture
    state: PictureState


def check_data(config: CheckConfig, progress: Callable[[int, int], None]) -> CheckReport:
    """Check the splits of a configuration.

    Args:
        config: What to look at.
        progress: Receives the finished and the total number of pictures.

    Raises:
        FileNotFoundError: A source does not exist.
        ValueError: A source cannot be read at all, or the configuration contradicts itself.
    """
    names = [split.name for split in config.splits]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"splits: {names} must be at least one, each with a name of its own")
    splits = tuple(read_split(each.name, each.source, each.images) for each in config.splits)
    findings = [finding for split in splits for finding in (*split.findings, *_classes(split))]
    seen: list[_Seen] = []
    total, done = sum(len(split.pictures) for split in splits), 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for split in splits:
            states = pool.map(_inspect, [picture.path for picture in split.pictures])
            for picture, state in zip(split.pictures, states, strict=True):
                if isinstance(state, PictureState):
                    seen.append(_Seen(split.name, picture, state))
                    findings += _picture(split, picture, state, config)
                else:
                    findings.append(Finding(state[0], split.name, str(picture.path), state[1]))
                done += 1
                progress(done, total)
    findings += _duplicates(seen)
    if config.near_duplicates:
        findings += _near_duplicates(seen)
    return CheckReport(splits, tuple(findings))


def _inspect(path: Path) -> PictureState | tuple[Kind, str]:
    try:
        return inspect_picture(path)
    except FileNotFoundError:
        return Kind.MISSING_FILE, ""
    except PictureError as error:
        return Kind.BROKEN_PICTURE, str(error)


def _classes(split: Split) -> Iterator[Finding]:
    if not split.pictures or not any(split.classes.values()):
        yield Finding(Kind.EMPTY_SPLIT, split.name, "the split", f"no {split.unit}")
        return
    labelled = split.unit == "pictures"
    for name, count in split.classes.items():
        if count == 0:
            yield Finding(Kind.EMPTY_CLASS if labelled else Kind.CATEGORY_WITHOUT_BOXES, split.name, name)
        elif count == 1 and labelled:
            yield Finding(Kind.CLASS_OF_ONE, split.name, name)
    if labelled and sum(count > 0 for count in split.classes.values()) == 1:
        yield Finding(Kind.ONE_CLASS, split.name, next(name for name, count in split.classes.items() if count))


def _picture(split: Split, picture: ListedPicture, state: PictureState, config: CheckConfig) -> Iterator[Finding]:
    what, width, height = str(picture.path), state.width, state.height
    if min(width, height) < config.tiny:
        yield Finding(Kind.TINY_PICTURE, split.name, what, f"{width} x {height} px")
    if split.unit == "pictures":
        return
    if (picture.width, picture.height) != (width, height):
        said = f"{picture.width} x {picture.height}"
        yield Finding(Kind.SIZE_DIFFERS, split.name, what, f"{width} x {height} px, the annotations say {said}")
    if not picture.boxes:
        yield Finding(Kind.NO_BOX, split.name, what)
    for box in picture.boxes:
        kind = _box(box, width, height, config.tolerance)
        if kind is not None:
            shown = ", ".join(f"{value:g}" for value in box)
            yield Finding(kind, split.name, what, f"box {shown} in {width} x {height} px")


def _box(box: Box, width: int, height: int, tolerance: float) -> Kind | None:
    x1, y1, x2, y2 = box
    if not all(map(math.isfinite, box)) or x2 <= x1 or y2 <= y1:
        return Kind.BOX_DEGENERATE
    inside = min(x1, y1) >= -tolerance and x2 <= width + tolerance and y2 <= height + tolerance
    return None if inside else Kind.BOX_OUTSIDE


def _duplicates(seen: Sequence[_Seen]) -> Iterator[Finding]:
    groups: dict[str, list[_Seen]] = defaultdict(list)
    for each in seen:
        groups[each.state.digest].append(each)
    for group in groups.values():
        if len(group) == 1:
            continue
        splits = list(dict.fromkeys(each.split for each in group))
        kind = Kind.DUPLICATE_BETWEEN_SPLITS if len(splits) > 1 else Kind.DUPLICATE_IN_SPLIT
        yield Finding(kind, " + ".join(splits), _named(group))
        for split in splits:
            labels = sorted({each.picture.label for each in group if each.split == split and each.picture.label})
            if len(labels) > 1:
                yield Finding(Kind.TWO_LABELS, split, _named(group), f"labels {', '.join(labels)}")


def _near_duplicates(seen: Sequence[_Seen]) -> Iterator[Finding]:
    # Equal files are named already.
    once = list({each.state.digest: each for each in reversed(seen)}.values())[::-1]
    for indices in alike([each.state for each in once]):
        group = [once[index] for index in indices]
        splits = list(dict.fromkeys(each.split for each in group))
        kind = Kind.NEAR_DUPLICATE_BETWEEN_SPLITS if len(splits) > 1 else Kind.NEAR_DUPLICATE_IN_SPLIT
        yield Finding(kind, " + ".join(splits), _named(group))


def _named(group: Sequence[_Seen]) -> str:
    names = [str(each.picture.path) for each in group]
    more = [f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])
