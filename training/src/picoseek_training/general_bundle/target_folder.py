"""The folder of the new bundle, and the one beside it that keeps what an interrupted build has done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from picoseek_bundle import check_bundle_folder

from picoseek_training.general_bundle.errors import BuildError

_SUFFIX = ".building"


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target`; it goes when the block succeeds and stays for the next build when it fails.

    Raises:
        BuildError: nothing can be written there.
        BundleError: `target` holds something else than a bundle.
    """
    target = target.absolute()
    folder = target.with_name(target.name + _SUFFIX)
    check_bundle_folder(target)
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
