"""What the embedder that codes are made for says of every training picture, seen whole and in drawn views."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, Preprocessor

from picoseek_training.data.example import Example
from picoseek_training.data.picture_file import read_picture
from picoseek_training.data.views import ViewConfig, draw_view, render_view
from picoseek_training.embedder.exported import ExportedEmbedder

_SQUARE_SIDE = 320
_BATCH = 16
_SAVED_EVERY = 32

Features = NDArray[np.float16]


def whole_view(example: Example, preprocessor: Preprocessor) -> NDArray[np.float32]:
    """Return a picture, or a region of one, as the network takes it and the service prepares it: [3, height, width].

    Raises:
        FileNotFoundError: the picture is missing.
        PictureError: it cannot be decoded.
    """
    return preprocessor(_pixels(example))


def prepared_view(
    example: Example, preprocessor: Preprocessor, config: ViewConfig, seed: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Return one view of a picture as the network takes it, [3, height, width]; see `whole_view` for the errors.

    Args:
        example: the picture, or a region of one.
        preprocessor: prepares the network's input.
        config: how far drawn views leave the picture.
        seed: of the run, number of the picture, number of the view; view 0 is the whole picture as it is.
    """
    if seed[-1] == 0:
        return whole_view(example, preprocessor)
    size = (_SQUARE_SIDE, _SQUARE_SIDE)
    square = np.asarray(cv2.resize(_pixels(example), size, interpolation=cv2.INTER_AREA), np.uint8)
    side = max(preprocessor.spec.width, preprocessor.spec.height)
    return preprocessor(render_view(square, draw_view(config, seed), side))


def view_features(
    start: Bundle,
    examples: Sequence[Example],
    config: ViewConfig,
    seed: int,
    views: int,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Features:
    """Return the embedder's vectors [views, N, D], not normalised, of views 0 … views - 1 of all N examples.

    They are kept in `folder`, a file a view, under a key of everything they depend on; an interrupted call goes on
    where it was. `progress` receives the finished and the total number of views.

    Raises:
        FileNotFoundError: a picture is missing.
        PictureError: a picture cannot be decoded.
    """
    stem = f"hash-{_key(start, examples, config, seed)}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{stem}-view{view}.npy" for view in range(views)]
    missing = [(view, file) for view, file in enumerate(files) if not file.exists()]
    if missing:
        network, preprocessor = ExportedEmbedder(start.program, start.weights), Preprocessor(start.manifest.input)
        for view, file in missing:

            def prepare(row: int, view: int = view) -> NDArray[np.float32]:
                return prepared_view(examples[row], preprocessor, config, (seed, row, view))

            def report(done: int, view: int = view) -> None:
                progress(view * len(examples) + done, views * len(examples))

            _fill(file, len(examples), network, prepare, report)
    return np.stack([np.load(file, mmap_mode="r") for file in files])


def _key(start: Bundle, examples: Sequence[Example], config: ViewConfig, seed: int) -> str:
    files = [(example.path.resolve(), example.path.stat(), example.box) for example in examples]
    listing = [(str(path), status.st_size, status.st_mtime_ns, box) for path, status, box in files]
    content = json.dumps([start.space, listing, asdict(config), seed, _SQUARE_SIDE])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _fill(
    file: Path,
    count: int,
    network: ExportedEmbedder,
    prepare: Callable[[int], NDArray[np.float32]],
    progress: Callable[[int], None],
) -> None:
    """Write the vectors of one view; rows that an interrupted call has written are kept."""
    part, done_file = file.with_suffix(".part"), file.with_suffix(".done")
    first = int(done_file.read_text()) if done_file.exists() and part.exists() else 0
    rows: np.memmap[Any, Any] | None = np.lib.format.open_memmap(part, mode="r+") if first else None
    for number, start in enumerate(range(first, count, _BATCH), start=1):
        last = min(start + _BATCH, count)
        vectors = network(np.stack([prepare(row) for row in range(start, last)]))
        if rows is None:
            rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(count, vectors.shape[1]))
        rows[start:last] = vectors
        if number % _SAVED_EVERY == 0:
            rows.flush()
            done_file.write_text(str(last))
        progress(last)
    if rows is not None:
        rows.flush()
    os.replace(part, file)
    done_file.unlink(missing_ok=True)


def _pixels(example: Example) -> NDArray[np.uint8]:
    picture = read_picture(example.path)
    if example.box is None:
        return picture
    x1, y1, x2, y2 = example.box
    return picture[y1:y2, x1:x2]
