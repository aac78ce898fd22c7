"""Index files of a shard: which rows are in them, by the numbers and checksums of the vectors."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picoseek_search.collection.names import PackedNames
from picoseek_search.collection.part import Part
from picoseek_search.segment import full_vectors, index_file
from picoseek_search.segment.arrays import Mask, Vectors
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.full_vectors import FullVectors
from picoseek_search.segment.gpu import Gpu
from picoseek_search.segment.index_file import IndexFileError
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.storage.documents import RowDirectory

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CachedIndex:
    """A sealed segment that was read from disk."""

    part: Part
    """The segment; rows whose documents are gone have empty ids."""
    live: Bitmap
    """Rows whose documents are there."""


class IndexCache:
    """Sealed indexes on disk. Whatever is wrong with them costs time, never an answer.

    A row's number is given once and its vector's checksum is kept beside it, so a file never becomes wrong: rows whose
    document was replaced or removed are not live.
    """

    def __init__(self, directory: Path, dimension: int, metric: Metric, gpu: Gpu | None = None) -> None:
        self._directory = directory
        self._dimension = dimension
        self._metric = metric
        self._gpu = gpu

    def save(self, part: Part) -> None:
        """Write a part, if it is sealed and building it anew would take long."""
        segment = part.segment
        if not isinstance(segment, SealedSegment) or segment.index_kind.is_exact:
            return
        self._directory.mkdir(exist_ok=True)
        keys = np.stack([part.rows, part.vector_checksums], axis=1)
        try:
            index_file.save(self._stem(part.number), segment, keys)
        except OSError as error:
            _LOG.warning("index of part %d was not kept, it is built anew after a restart: %s", part.number, error)
            self.discard(part.number)

    def write_vectors(self, number: int, blocks: Iterable[Vectors]) -> FullVectors:
        """Write the full vectors of the part of that number, which is about to be built, and map them.

        Raises:
            OSError: the disk is full or fails.
        """
        self._directory.mkdir(exist_ok=True)
        path = index_file.vectors_path(self._stem(number))
        return full_vectors.write(path, blocks, self._dimension, self._metric)

    def remove(self, part: Part) -> None:
        """Remove a part's files, if there are any."""
        self.discard(part.number)

    def discard(self, number: int) -> None:
        """Remove the files of the part of that number, if there are any."""
        index_file.remove(self._stem(number))

    def take_over(self, other: IndexCache) -> None:
        """Move in what another cache of the shard has, none of whose numbers is in use here.

        Raises:
            OSError: the disk fails; what is left is moved by the next call.
        """
        if other._directory.is_dir():
            index_file.move_all(other._directory, self._directory)

    def clear(self) -> None:
        """Remove all files."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def load(self, directory: RowDirectory, kind: IndexKind) -> list[CachedIndex]:
        """Read what there is of a kind, oldest rows first, each row at most once; other files are removed."""
        if not len(directory.rows):
            self._remove_all_but(set())
            return []
        covered = np.zeros(len(directory.rows), np.bool_)
        found: list[CachedIndex] = []
        # What was built later holds the rows of what it was built from, if a crash left both.
        for stem in index_file.stems(self._directory):
            try:
                segment, keys = index_file.load(stem, self._dimension, self._metric)
            except IndexFileError as error:
                _LOG.warning("an index is built anew: %s", error)
                continue
            if not kind.may_hold(segment.index_kind):
                _LOG.warning("%s is %s and built anew as %s", stem, segment.index_kind.factory, kind.factory)
                continue
            places, matches = _match(keys, directory)
            matches &= ~covered[places]
            if matches.any():
                if self._gpu is not None:
                    segment.copy_to(self._gpu)
                covered[places[matches]] = True
                found.append(_cached(int(stem.name), segment, keys, places, matches, directory))
        self._remove_all_but({self._stem(cached.part.number).name for cached in found})
        return sorted(found, key=lambda cached: int(cached.part.rows[cached.live.mask()].min()))

    def _remove_all_but(self, names: set[str]) -> None:
        self._directory.mkdir(exist_ok=True)
        for path in self._directory.iterdir():
            if path.stem not in names:
                path.unlink()

    def _stem(self, number: int) -> Path:
        return self._directory / f"{number:012d}"


def _cached(
    number: int,
    segment: SealedSegment,
    keys: index_file.Keys,
    places: index_file.Keys,
    matches: Mask,
    directory: RowDirectory,
) -> CachedIndex:
    ids, items = (
        PackedNames.of(np.where(matches, names[places], "").tolist()) for names in (directory.ids, directory.items)
    )
    part = Part(number, segment, np.ascontiguousarray(keys[:, 0]), np.ascontiguousarray(keys[:, 1]), ids, items)
    return CachedIndex(part, Bitmap.from_mask(matches))


def _match(keys: index_file.Keys, directory: RowDirectory) -> tuple[index_file.Keys, Mask]:
    places = np.minimum(np.searchsorted(directory.rows, keys[:, 0]), len(directory.rows) - 1)
    same = (directory.rows[places] == keys[:, 0]) & (directory.vector_checksums[places] == keys[:, 1])
    return places, same
