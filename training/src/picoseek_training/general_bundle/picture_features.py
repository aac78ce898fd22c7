"""Features of a user's pictures, each seen whole and in a few drawn views, kept so that a build can go on."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import PictureError, Preprocessor, decode_picture

from picoseek_training.data.example import Example
from picoseek_training.data.views import ViewConfig, draw_view, render_view
from picoseek_training.embedder.exported import ExportedEmbedder

VIEWS = 4
"""Of each picture; the first is the whole one, prepared as the service does it."""
_VIEW = ViewConfig()
_SOURCE_SIDE = 320


@dataclass(frozen=True)
class PictureFeatures:
    """Features of the pictures that can be read."""

    examples: tuple[Example, ...]
    """N of them."""
    features: NDArray[np.float16]
    """[views, N, D]."""
    broken: tuple[tuple[Example, str], ...]
    """The others, and what is wrong with each."""


def picture_features(
    network: ExportedEmbedder,
    preprocessor: Preprocessor,
    examples: Sequence[Example],
    folder: Path,
    progress: Callable[[int, int], None],
) -> PictureFeatures:
    """Return the features of all pictures; those that `folder` already has are not computed again.

    Args:
        network: prepared pictures [N, 3, H, W] to features [N, D].
        preprocessor: prepares its input.
        examples: the pictures.
        folder: keeps a file a picture, whose name follows from path, size and time of the picture.
        progress: receives the finished and the total number of pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[tuple[Example, NDArray[np.float16]]] = []
    broken: list[tuple[Example, str]] = []
    for number, example in enumerate(examples, start=1):
        try:
            file = folder / f"{_key(example.path, preprocessor)}.npy"
            views = None if file.exists() else _views(_content(example.path), preprocessor)
        except PictureError as error:
            broken.append((example, error.message))
        else:
            if views is not None:
                _write(file, network(views).astype(np.float16))
            found.append((example, np.load(file)))
        progress(number, len(examples))
    features = np.stack([entry for _, entry in found], axis=1) if found else np.zeros((VIEWS, 0, 1), np.float16)
    return PictureFeatures(tuple(example for example, _ in found), features, tuple(broken))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError("PICTURE_UNREADABLE", f"it cannot be read: {error.strerror}") from error


def _write(file: Path, features: NDArray[np.float16]) -> None:
    scratch = file.with_suffix(".part")
    with scratch.open("wb") as stream:
        np.save(stream, features)
    os.replace(scratch, file)


def _key(path: Path, preprocessor: Preprocessor) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise PictureError("PICTURE_UNREADABLE", f"it cannot be read: {error.strerror}") from error
    identity = [str(path.resolve()), status.st_size, status.st_mtime_ns]
    content = json.dumps([identity, preprocessor.spec.model_dump(mode="json"), VIEWS, _SOURCE_SIDE, asdict(_VIEW)])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _views(content: bytes, preprocessor: Preprocessor) -> NDArray[np.float32]:
    picture = decode_picture(content)
    whole = cv2.resize(picture, (_SOURCE_SIDE, _SOURCE_SIDE), interpolation=cv2.INTER_AREA)
    square = np.asarray(whole, dtype=np.uint8)
    side = preprocessor.spec.width
    # The views of a picture depend on its content alone, wherever it lies.
    drawn = (draw_view(_VIEW, (zlib.crc32(content), view)) for view in range(1, VIEWS))
    return np.stack([preprocessor(picture), *(preprocessor(render_view(square, view, side)) for view in drawn)])
