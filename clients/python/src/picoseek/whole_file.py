"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def partial_path(path: Path) -> Path:
    """Return a place beside a file, with its ending, for what is to become it."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@contextmanager
def named_on_failure(path: Path) -> Generator[None]:
    """Let errors of the system say which file the caller wanted: of a full disk it names none.

    Raises:
        OSError: the block's own, with the name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        OSError: it cannot be written; the error names it. What was there before stays.
    """
    partial = partial_path(path)
    try:
        with named_on_failure(path):
            partial.write_bytes(data)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
