"""A user's pictures as batches for a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paddle import Tensor
from picoseek_bundle import InputSpec, Interpolation, PictureError, Preprocessor, decode_picture

from picoseek_training.detector.inference import batches
from picoseek_training.weight_import.importing import Pictures

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_MOST = 400


def picture_batches(folder: Path) -> Pictures:
    """Return what makes batches of at most 400 pictures under a folder, spread evenly over their sorted paths.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"--pictures: there are no pictures in {folder}")
    chosen = [paths[index] for index in np.unique(np.linspace(0, len(paths) - 1, _MOST).astype(int))]

    def make(size: tuple[int, int]) -> Sequence[Tensor]:
        preprocessor = Preprocessor(InputSpec(width=size[1], height=size[0], interpolation=Interpolation.BICUBIC))
        decoded = []
        for path in chosen:
            try:
                decoded.append(preprocessor.resize(decode_picture(path.read_bytes())))
            except PictureError as error:
                raise ValueError(f"--pictures: {path}: {error}") from error
        return list(batches(decoded, preprocessor))

    return make
