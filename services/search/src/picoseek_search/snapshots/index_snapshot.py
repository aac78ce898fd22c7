"""The index files of a collection, held while others may remove them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from picoseek_search.segment import index_file

OpenIndexes: TypeAlias = dict[int, dict[str, BinaryIO]]
"""Files by suffix, by number of the part."""


@contextmanager
def opened_indexes(directory: Path) -> Generator[OpenIndexes]:
    """Open the index files that are complete.

    They need not be of the revision of anything: a file says which rows it holds, and what is wrong with it costs time,
    never an answer. What is removed meanwhile stays readable.
    """
    with ExitStack() as stack:
        found: OpenIndexes = {}
        for stem in index_file.stems(directory):
            try:
                files: dict[str, BinaryIO] = {}
                for suffix in index_file.SUFFIXES:
                    path = stem.with_suffix(suffix)
                    if path.exists():
                        files[suffix] = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue  # it was merged into another one in this moment
            found[int(stem.name)] = files
        yield found
