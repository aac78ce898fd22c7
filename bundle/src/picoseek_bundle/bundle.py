"""Read and write bundles: a folder of inference files with a manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from picoseek_bundle.errors import BundleError, ManifestError
from picoseek_bundle.manifest import MANIFEST_NAME, FileEntry, Manifest, Task, manifest_error
from picoseek_bundle.paddlex import PADDLEX_NAME, paddlex_description
from picoseek_bundle.space import space_digest

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked against its manifest."""

    folder: Path
    """Where it lies."""
    manifest: Manifest
    """What it is."""

    @property
    def program(self) -> Path:
        """File with the network."""
        return self.folder / self.manifest.program

    @property
    def weights(self) -> Path:
        """File with the weights."""
        return self.folder / self.manifest.weights

    @cached_property
    def digest(self) -> str:
        """Digest of the manifest and so of every file."""
        return self.manifest.digest()

    @cached_property
    def space(self) -> str:
        """Digest of the embedding space.

        Raises:
            BundleError: the bundle is no embedder.
        """
        if self.manifest.task is not Task.EMBEDDING:
            raise BundleError(f"bundle {self.manifest.name!r} is no embedder and has no embedding space")
        return space_digest(self.manifest)


def default_bundle(task: Task) -> Path:
    """Return the folder of the bundle that ships with this package for a task."""
    return Path(__file__).parent / "default" / ("detector" if task is Task.DETECTION else "embedder")


def load_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every file.

    Raises:
        BundleError: the folder or a file is missing, a checksum differs, or the manifest breaks a rule.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST_NAME}")
    try:
        manifest = Manifest.from_json(path.read_bytes())
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error
    for name, entry in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise BundleError(f"bundle {folder}: file {name} is missing; copy the bundle again")
        if describe_file(file) != entry:
            raise BundleError(f"bundle {folder}: file {name} does not match its checksum; copy the bundle again")
    return Bundle(folder, manifest)


def check_bundle_folder(folder: Path) -> None:
    """Make sure that a bundle can be written to a folder: it is new, empty or a bundle, which will be replaced.

    Raises:
        BundleError: something else is there.
    """
    if (folder / MANIFEST_NAME).is_file() or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise BundleError(f"{folder} is there and is no bundle; choose a new or empty folder")


def write_bundle(folder: Path, files: Mapping[str, Path], **fields: Any) -> Bundle:
    """Write a bundle; the folder appears complete or not at all, and takes the place of one that is there.

    If PaddleX can run the model, the bundle gets an `inference.yml` too, unless `files` has one.

    Args:
        folder: where the bundle shall lie.
        files: source file by its path relative to the folder.
        fields: the manifest's fields except `files`.

    Raises:
        BundleError: a source is missing, the fields break a rule of the manifest, or something else than a bundle is in
            the folder.
    """
    check_bundle_folder(folder)
    for name, source in files.items():
        if not source.is_file():
            raise BundleError(f"file {name}: {source} does not exist")
    entries = {name: describe_file(source) for name, source in sorted(files.items())}
    manifest = _manifest(entries, fields)
    description = None if PADDLEX_NAME in files else paddlex_description(manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        scratch.chmod(0o755)
        for name, source in files.items():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        if description is not None:
            (scratch / PADDLEX_NAME).write_text(description, encoding="utf-8")
            entries[PADDLEX_NAME] = describe_file(scratch / PADDLEX_NAME)
            manifest = _manifest(dict(sorted(entries.items())), fields)
        (scratch / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old / folder.name)
            os.replace(scratch, folder)
            shutil.rmtree(old)
        else:
            os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return load_bundle(folder)


def _manifest(files: Mapping[str, FileEntry], fields: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest(files=dict(files), **fields)
    except ValidationError as error:
        raise manifest_error(error) from error


def describe_file(path: Path) -> FileEntry:
    """Return size and SHA-256 of a file."""
    checksum = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            checksum.update(chunk)
            size += len(chunk)
    return FileEntry(sha256=checksum.hexdigest(), size=size)
