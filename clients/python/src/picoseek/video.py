"""Video files read and written frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from picoseek.errors import InvalidArgumentError
from picoseek.picture import Pixels

_USUAL_RATE = 25.0


class VideoReader:
    """A video file, or a stream by its address."""

    def __init__(self, source: str) -> None:
        """Open a video.

        Raises:
            InvalidArgumentError: it is not there or cannot be decoded.
        """
        if "://" not in source and not Path(source).is_file():
            raise InvalidArgumentError(f"{source} does not exist; give a video file or the address of a stream")
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise InvalidArgumentError(f"{source} cannot be decoded as a video")

    @property
    def frames_per_second(self) -> float:
        """As the video states it; 25 where it does not."""
        return float(self._capture.get(cv2.CAP_PROP_FPS)) or _USUAL_RATE

    @property
    def frame_count(self) -> int | None:
        """As the video states it; None: it does not."""
        return max(0, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None

    def frames(self) -> Iterator[Pixels]:
        """Yield the frames in order."""
        while True:
            there, pixels = self._capture.read()
            if not there:
                return
            yield np.asarray(pixels, dtype=np.uint8)

    def close(self) -> None:
        """Release the file."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class VideoWriter:
    """A video file (MPEG-4 part 2) that is made by its first frame."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self._path = path
        self._rate = frames_per_second
        self._writer: cv2.VideoWriter | None = None

    def write(self, pixels: Pixels) -> None:
        """Add a frame; all have the size of the first.

        Raises:
            InvalidArgumentError: the file cannot be written.
        """
        if self._writer is None:
            height, width = pixels.shape[:2]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), code, self._rate, (width, height))
            if not self._writer.isOpened():
                raise InvalidArgumentError(f"{self._path} cannot be written; give a file that ends in .mp4")
        self._writer.write(pixels)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
