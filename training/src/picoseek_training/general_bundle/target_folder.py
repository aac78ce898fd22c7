"""The folder of the new bundle, and the one beside it that keeps what an interrupted build has done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from picoseek_bundle.manifest import MANIFEST_NAME

from picoseek_training.general_bundle.errors import BuildError

_SUFFIX = ".building"


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target`; it goes when the block succeeds and stays for the next build when it fails.

    Raises:
        BuildError: nothing can be written there, or `target` holds something else than a bundle.
    """
    target = target.absolute()
    folder = target.with_name(target.name + _SUFFIX)
    if target.exists() and not (target / MANIFEST_NAME).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BuildError(f"{target} is there and is no bundle; choose a new or empty folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder), tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise BuildError(f"{target.parent} cannot be written: {error.strerror}; choose another --out") from error
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    shutil.rmtree(folder)
