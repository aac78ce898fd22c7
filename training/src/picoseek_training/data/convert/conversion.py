"""Reads the sets of a configuration, chooses, cleans and writes them."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from picoseek_bundle import PictureError, decode_picture

from picoseek_training.data.convert.boxes import clean_boxes
from picoseek_training.data.convert.coco2017 import read_coco2017
from picoseek_training.data.convert.config import ConvertConfig, Format, SourceConfig
from picoseek_training.data.convert.foreground_file import ForegroundPicture, write_foreground_file
from picoseek_training.data.convert.icartoonface import read_icartoonface
from picoseek_training.data.convert.logodet3k import read_logodet3k
from picoseek_training.data.convert.objects365 import read_objects365
from picoseek_training.data.convert.rpc import read_rpc
from picoseek_training.data.convert.source import SourcePicture

_READERS: dict[Format, Callable[[Path, Path], list[SourcePicture]]] = {
    "coco2017": read_coco2017,
    "icartoonface": read_icartoonface,
    "logodet3k": read_logodet3k,
    "objects365": read_objects365,
    "rpc": read_rpc,
}

Report = Callable[[str, int, int], None]
"""Receives the name of a set, and the finished and the total number of its pictures."""


@dataclass(frozen=True)
class SourceCounts:
    """What became of one set."""

    listed: int = 0
    """Pictures that the set names."""
    written: int = 0
    missing: int = 0
    """Pictures that were left out because their file does not exist."""
    broken: int = 0
    """Pictures that were left out because they had to be decoded for their size, and could not be."""
    empty: int = 0
    """Pictures that were left out because no box was left to find."""
    boxes: int = 0
    """Boxes that were written, ignored ones included."""
    ignored: int = 0
    clipped: int = 0
    degenerate: int = 0
    """Boxes that were dropped."""


def convert(config: ConvertConfig, report: Report) -> dict[str, SourceCounts]:
    """Write the set that a configuration describes; return what became of each source.

    The order is that of the sources, and of the names inside each; the same configuration writes the same file.

    Raises:
        FileNotFoundError: An annotation file is missing, or none of a source's pictures exists.
        ValueError: A file is not of its format, or the configuration contradicts itself; the message names the key.
    """
    _check(config)
    counts: dict[str, SourceCounts] = {}

    def pictures() -> Iterator[ForegroundPicture]:
        for source in config.sources:
            gathering = _Gathering(config, source)
            yield from gathering.pictures(report)
            counts[source.name] = gathering.counts

    write_foreground_file(config.output, pictures())
    return counts


class _Gathering:
    """The usable pictures of one source."""

    def __init__(self, config: ConvertConfig, source: SourceConfig) -> None:
        self._config = config
        self._source = source
        annotations = source.annotations or source.images
        listed = _READERS[source.format](annotations, source.images)
        self._listed = sorted(listed, key=lambda picture: picture.name)
        self.counts = SourceCounts(listed=len(listed))

    def pictures(self, report: Report) -> Sequence[ForegroundPicture]:
        wanted = self._source.pictures if self._source.pictures is not None else len(self._listed)
        chosen: dict[int, ForegroundPicture] = {}
        for index in self._order():
            if len(chosen) == wanted:
                break
            picture = self._usable(self._listed[index])
            if picture is not None:
                chosen[index] = picture
                report(self._source.name, len(chosen), wanted)
        if self._listed and self.counts.missing == len(self._listed):
            raise FileNotFoundError(
                f"source {self._source.name}: none of its {len(self._listed)} pictures is under {self._source.images}; "
                f"looked for {self._listed[0].places[0]}"
            )
        report(self._source.name, wanted, wanted)
        return [chosen[index] for index in sorted(chosen)]

    def _order(self) -> Sequence[int]:
        if self._source.pictures is None:
            return range(len(self._listed))
        seed = (self._config.seed, zlib.crc32(self._source.name.encode()))
        return [int(index) for index in np.random.default_rng(seed).permutation(len(self._listed))]

    def _usable(self, picture: SourcePicture) -> ForegroundPicture | None:
        path = next((place for place in picture.places if place.is_file()), None)
        if path is None:
            self._add(missing=1)
            return None
        width, height = picture.width, picture.height
        if width is None or height is None:
            try:
                height, width = decode_picture(path.read_bytes()).shape[:2]
            except PictureError:
                self._add(broken=1)
                return None
        clean = clean_boxes(picture.boxes, width, height, self._config.least_side)
        self._add(clipped=clean.clipped, degenerate=clean.degenerate)
        ignored = sum(box.ignored for box in clean.boxes)
        if ignored == len(clean.boxes) and not self._config.keep_empty:
            self._add(empty=1)
            return None
        self._add(written=1, boxes=len(clean.boxes), ignored=ignored)
        return ForegroundPicture(self._file_name(path), width, height, clean.boxes, self._source.name)

    def _file_name(self, path: Path) -> str:
        folder = self._config.output.parent
        if self._config.copy_pictures:
            within = Path(os.path.relpath(path, self._source.images))
            if within.parts[0] == os.pardir:
                raise ValueError(f"{path} is not below {self._source.images}, so it cannot be copied in its place")
            target = folder / "images" / self._source.name / within
            _copy(path, target)
            path = target
        return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()

    def _add(self, **more: int) -> None:
        self.counts = replace(self.counts, **{key: getattr(self.counts, key) + value for key, value in more.items()})


def _check(config: ConvertConfig) -> None:
    if not config.sources:
        raise ValueError("sources: name at least one set")
    names = [source.name for source in config.sources]
    for index, source in enumerate(config.sources):
        key = f"sources.{index}"
        if not source.name or source.name in (".", "..") or set(source.name) & set("/\\"):
            raise ValueError(f"{key}.name: {source.name!r} is no name of a folder")
        if names.index(source.name) != index:
            raise ValueError(f"{key}.name: {source.name} is there twice; give each set a name of its own")
        if source.annotations is None and source.format != "logodet3k":
            raise ValueError(f"{key}.annotations: {source.format} has an annotation file; name it")
        if source.pictures is not None and source.pictures < 1:
            raise ValueError(f"{key}.pictures: {source.pictures} must be at least 1; leave it out to take all")
        if not source.images.is_dir():
            raise FileNotFoundError(f"{key}.images: {source.images} is no folder")


def _copy(path: Path, target: Path) -> None:
    state = path.stat()
    if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copy2(path, scratch)
    os.replace(scratch, target)
