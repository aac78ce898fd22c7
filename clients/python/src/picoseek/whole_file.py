"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def partial_path(path: Path) -> Path:
    """Return a place beside a file, with its ending, for what is to become it."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        OSError: it cannot be written; the error names it. What was there before stays.
    """
    partial = partial_path(path)
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        # Of a full disk the system does not say which file it was.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
